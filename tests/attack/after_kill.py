"""The database that a killed process has left, compared with what callers were
promised."""

import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from service.domain.records import Purpose
from service.settings import Settings
from tests.support.engines import rows
from tests.support.live_changes import opened_by

from .crowd import Caller, Crowd, Promise

HALVES = {
    "connection without credential": "SELECT profile_key FROM connections c WHERE NOT EXISTS"
    " (SELECT 1 FROM credentials s WHERE s.profile_key = c.profile_key"
    " AND s.platform = c.platform AND s.generation = c.generation)",
    "connection without session": "SELECT profile_key FROM connections c WHERE NOT EXISTS"
    " (SELECT 1 FROM sessions s WHERE s.profile_key = c.profile_key"
    " AND s.platform = c.platform AND s.generation = c.generation)",
    "credential without connection": "SELECT profile_key FROM credentials s WHERE NOT EXISTS"
    " (SELECT 1 FROM connections c WHERE s.profile_key = c.profile_key"
    " AND s.platform = c.platform)",
    "session without connection": "SELECT profile_key FROM sessions s WHERE NOT EXISTS"
    " (SELECT 1 FROM connections c WHERE s.profile_key = c.profile_key"
    " AND s.platform = c.platform)",
    "connection without profile": "SELECT profile_key FROM connections c WHERE NOT EXISTS"
    " (SELECT 1 FROM profiles p WHERE p.profile_key = c.profile_key"
    " AND p.tenant_id = c.tenant_id)",
    # event numbers begin at 1 without gaps: none is pruned here
    "event without its counter": "SELECT tenant_id FROM tenants t WHERE last_event <>"
    " (SELECT COUNT(*) FROM events e WHERE e.tenant_id = t.tenant_id) OR last_event <>"
    " (SELECT COALESCE(MAX(number), 0) FROM events e WHERE e.tenant_id = t.tenant_id)",
    "reply without its work": "SELECT idempotency_key FROM idempotency_records"
    " WHERE (profile_key IS NULL) <> (reply IS NULL)",
    "change without its event": "SELECT profile_key FROM (SELECT profile_key, MAX(number) AS last"
    " FROM events WHERE kind IN ('CONNECTED', 'RECONNECTED', 'DISCONNECTED')"
    " GROUP BY tenant_id, profile_key) l JOIN events e USING (profile_key)"
    " WHERE e.number = l.last AND (e.kind = 'DISCONNECTED') ="
    " EXISTS (SELECT 1 FROM connections c WHERE c.profile_key = l.profile_key)",
    "connect without its row of the audit": "SELECT profile_key FROM events e"
    " WHERE kind IN ('CONNECTED', 'RECONNECTED') GROUP BY profile_key HAVING COUNT(*) <>"
    " (SELECT COUNT(*) FROM audit a WHERE a.profile_key = e.profile_key"
    " AND a.method = 'ConnectProfile' AND a.account_id <> '')",
    "disconnect without its row of the audit": "SELECT profile_key FROM events e"
    " WHERE kind = 'DISCONNECTED' GROUP BY profile_key HAVING COUNT(*) >"
    " (SELECT COUNT(*) FROM audit a WHERE a.profile_key = e.profile_key"
    " AND a.method IN ('DisconnectPlatform', 'DeleteProfile'))",
    "connection without its event": "SELECT profile_key FROM connections c WHERE NOT EXISTS"
    " (SELECT 1 FROM events e WHERE e.profile_key = c.profile_key AND e.kind = 'CONNECTED')",
}


@dataclass
class Remains:
    """What a database holds after a kill.

    *sound*: result of SQLite's own checks. *lost*: acknowledged changes that are missing. *halves*:
    rows without the rows that belong to them. *strangers*: profiles that no caller has received
    yet.
    """

    sound: bool
    opened: int
    lost: list[str] = field(default_factory=list)
    halves: Counter[str] = field(default_factory=Counter)
    strangers: set[str] = field(default_factory=set)


def remains_of(read: Settings, crowd: Crowd, folder: Path) -> Remains:
    """Check a copy of the database; opening the original would repair it."""
    copy = _copied(read, folder)
    sound = rows(copy.database_url, "PRAGMA integrity_check") == [{"integrity_check": "ok"}]
    sound = sound and not rows(copy.database_url, "PRAGMA foreign_key_check")
    found = dict(_found(copy))
    secrets = opened_by(copy)
    left = Remains(sound, len(secrets))
    for what, statement in HALVES.items():
        left.halves[what] += len(rows(copy.database_url, statement))
    for key, promise in found.items():
        if promise.did:
            found[key] = Promise(promise.did, secrets.get((key, Purpose.CREDENTIAL.value), ""))
    for caller in crowd.callers:
        left.lost += _lost(caller, found)
    left.strangers = found.keys() - crowd.profiles()
    return left


def _copied(read: Settings, folder: Path) -> Settings:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for file in read.database_file.parent.glob(f"{read.database_file.name}*"):
        # SQLite rebuilds the log's index from the log, as after a power failure
        if not file.name.endswith("-shm"):
            shutil.copy(file, folder)
    return read.model_copy(update={"database_url": f"sqlite:///{folder / read.database_file.name}"})


def _found(read: Settings) -> Iterator[tuple[str, Promise]]:
    for row in rows(
        read.database_url,
        "SELECT p.profile_key, c.account_id FROM profiles p LEFT JOIN connections c"
        " USING (tenant_id, profile_key)",
    ):
        yield row["profile_key"], Promise(row["account_id"] or "")


def _lost(caller: Caller, found: dict[str, Promise]) -> Iterator[str]:
    doubt = caller.doubt
    for key, promise in caller.profiles.items():
        allowed = [promise]
        if doubt is not None and doubt.profile_key == key:
            if doubt.method == "DeleteProfile" and key not in found:
                continue
            allowed += [doubt.becomes] if doubt.becomes is not None else []
        if found.get(key) not in allowed:
            yield f"{key}: {promise}, and is {found.get(key)}"
    for key in caller.gone & found.keys():
        yield f"{key}: deleted, and is there"
