"""Checks: invariants of rows, events, logins and answers, given the expected state."""

from collections.abc import Iterable, Sequence
from typing import Any

from postcore.profiles.v1 import profile_pb2
from service.connections.health import SHARED_FOR
from service.domain.model import DAY, SECOND, ReconnectReason
from tests.support.running import Refusal

from .clock import HeldClock
from .event_history import EventHistory, Row
from .expected_state import ExpectedState, Held, expected_state, is_away
from .fake_platform import FakePlatform, SeenLogin
from .running_service import RunningService

IN_5_MINUTES, A_DAY = 6, 20
SETTINGS = {
    "LOGIN_BUDGET": f"{IN_5_MINUTES},{A_DAY}",
    "CONNECT_LOGIN_BUDGET": "4,14",
    "TENANT_LOGIN_BUDGET": "3,10",
}
"""Lower limits than in production, so that tests reach them."""
FACTS = ("generation", "account_id", "origin", "username", "state", "reconnect_reason")
FACTS_OF_TIME = ("connected_at", "last_verified_at", "document_at", "checked_at")
WAITS = {"RATE_LIMIT_EXCEEDED", "PLATFORM_RATE_LIMITED"}
NOTHING_PROVED = {*WAITS, "PLATFORM_UNAVAILABLE"}
ABSENT = {"PLATFORM_NOT_CONNECTED", "PROFILE_NOT_FOUND"}


class Checks:
    """Compares the service's answers and rows with the allowed ones, call by call."""

    def __init__(
        self,
        platform: FakePlatform,
        running: RunningService,
        held: dict[str, Held],
        clock: HeldClock,
    ) -> None:
        self._platform = platform
        self._service = running.service
        self._held = held
        self._clock = clock
        self._history = EventHistory()
        self._rows: dict[str, Row] = {}
        self._logins = 0
        self._checked: set[str] = set()
        self._remade: set[str] = set()
        self._expected: dict[str, ExpectedState] = {}

    # checks around each call

    def begin(self, checked: Iterable[str], remade: Iterable[str]) -> None:
        """Begin a call that may check the profiles *checked*, and connect or end those *remade*."""
        self.note_moves()
        self._checked, self._remade = set(checked), set(remade)
        now = self._clock.now()
        self._expected = {
            key: expected_state(self._platform, held, now) for key, held in self._held.items()
        }

    def end(self) -> None:
        """End the call and check its effects."""
        before, self._rows = self._rows, self._read()
        events = self._service.rows(
            "SELECT * FROM events WHERE tenant_id = ? AND number > ? ORDER BY number",
            self._service.tenant_id,
            self._history.last,
        )
        self._history.apply(events)
        self._history.agrees_with(list(self._rows.values()))
        for key in before.keys() | self._rows.keys():
            was, now = before.get(key), self._rows.get(key)
            if key in self._checked and was and now:
                self._check_verdict(was, now, events)
            elif was and now and key not in self._remade:
                facts = (*FACTS, *FACTS_OF_TIME)
                assert [was[fact] for fact in facts] == [now[fact] for fact in facts]
            else:
                assert was is None or key in self._remade, "a connection ends only on request"
        self._check_logins(before)

    def nothing_changed(self) -> None:
        """A change outside the service has changed no row."""
        self.note_moves()

    def note_moves(self) -> None:
        """Record when a document first named another server."""
        for held in self._held.values():
            if held.moved_at is None and is_away(self._platform, held):
                held.moved_at = self._clock.now()

    def _check_verdict(self, was: Row, now: Row, events: Sequence[Row]) -> None:
        key, true = was["profile_key"], self._expected[was["profile_key"]]
        assert (was["generation"], was["origin"]) == (now["generation"], now["origin"])
        if now["checked_at"] == self._clock.now():
            assert now["next_check_at"] > self._clock.now(), "due again as soon as it was checked"
        reason = now["reconnect_reason"]
        fresh = now["last_verified_at"] == self._clock.now()
        if reason != was["reconnect_reason"] and reason is not None:
            assert ReconnectReason(reason) in true.reasons, f"a flag without proof: {reason}"
            assert fresh
        if now["state"] == "HEALTHY" and fresh:
            assert true.allows_healthy(now["document_at"], self._clock.now()), true
            if not self._platform.disturbed:
                handle = self._platform.network.ledger[now["account_id"]].handle
                assert now["username"] == handle, "the session's answer names another account"
        if was["reconnect_reason"] and not reason:
            assert (now["state"], fresh) == ("HEALTHY", True), "only proof clears a flag"
        renamed = [
            event
            for event in events
            if (event["profile_key"], event["kind"]) == (key, "HANDLE_CHANGED")
        ]
        assert len(renamed) == (was["username"] != now["username"])
        if renamed:
            assert now["username"] == self._platform.network.ledger[now["account_id"]].handle

    def _check_logins(self, before: dict[str, Row]) -> None:
        new = self._platform.logins[self._logins :]
        self._logins = len(self._platform.logins)
        asked = {(row["account_id"], row["origin"]) for row in before.values()}
        now = self._clock.now()
        waiting = asked - {
            (row["account_id"], row["origin"])
            for row in before.values()
            if row["login_after"] is None or row["login_after"] <= now
        }
        for login in new:
            assert login.at_home, "a login at a server that the document does not name"
            if not self._remade and self._checked:
                assert (login.did, login.origin) in asked, "a secret left its server"
                assert (login.did, login.origin) not in waiting, "a login during its delay"
            same = [
                each.at * SECOND
                for each in self._platform.logins
                if (each.did, each.origin) == (login.did, login.origin)
            ]
            day = [at for at in same if at > now - DAY]
            assert len([at for at in same if at > now - 300 * SECOND]) <= IN_5_MINUTES
            assert len(day) <= A_DAY
            debits = self._service.rows(
                "SELECT at FROM login_debits WHERE account_id = ? AND origin = ? AND at > ?",
                login.did,
                login.origin,
                now - DAY,
            )
            assert len(day) <= len(debits), "each login is debited"

    def _read(self) -> dict[str, Row]:
        rows = self._service.rows(
            "SELECT * FROM connections WHERE tenant_id = ?", self._service.tenant_id
        )
        return {row["profile_key"]: row for row in rows}

    # checks of answers

    def connected(self, key: str, held: Held) -> None:
        self._held[key] = held
        row = self._rows[key]
        assert (row["account_id"], row["origin"]) == (held.did, held.origin)
        assert (row["state"], row["reconnect_reason"]) == ("HEALTHY", None)
        self.note_moves()

    def connect_refused(
        self, key: str | None, did: str, refusal: Refusal, *, good: bool, disturbed: bool
    ) -> None:
        """*good*: the credentials open the account. *disturbed*: a fault was active."""
        allowed = {*WAITS}
        if not good:
            allowed |= {"INVALID_CREDENTIALS", "ACCOUNT_INACTIVE"}
        if disturbed:
            # a lying resolver may name no account
            allowed |= {"PLATFORM_UNAVAILABLE", "INVALID_CREDENTIALS"}
        if key in self._held and self._held[key].did != did:
            allowed |= {"PROFILE_ALREADY_EXISTS"}
        assert refusal.reason in allowed, refusal

    def verified(self, key: str, answer: profile_pb2.Connection | Refusal) -> None:
        if isinstance(answer, Refusal):
            assert refusal_is_due(answer, ABSENT, key not in self._held), answer
            return
        row = self._rows[key]
        assert 0 <= self._clock.now() - row["checked_at"] < SHARED_FOR, "an old verdict"
        assert as_seen(answer) == as_stored(row)
        assert answer.last_verified_at.ToMicroseconds() == row["last_verified_at"]

    def leased(self, key: str, answer: Any) -> None:
        row = self._rows.get(key)
        if not isinstance(answer, Refusal):
            assert row is not None, "leased a session without a connection"
            assert row["reconnect_reason"] is None, "leased a session of a broken connection"
            assert answer.access_token == self._service.session(key).access_token
            assert (answer.account_id, answer.username, answer.service_endpoint) == (
                row["account_id"],
                row["username"],
                row["origin"],
            )
            left = answer.expires_at.ToMicroseconds() - self._clock.now()
            assert left >= 60 * SECOND
            return
        assert refusal_is_due(answer, ABSENT, row is None), answer
        broken = row is not None and row["reconnect_reason"] is not None
        assert refusal_is_due(answer, {"NEEDS_RECONNECT"}, broken), answer
        if broken and row is not None:
            assert answer.metadata["reconnectReason"] == row["reconnect_reason"]
        elif row is not None:
            assert answer.reason in {*NOTHING_PROVED, "ACCOUNT_INACTIVE"}, answer

    def settled(self, logins_of_second_round: Sequence[SeenLogin]) -> None:
        """No fault was active for a day, and each connection was checked twice."""
        at_peace = set()
        for key, row in self._rows.items():
            true = self._expected[key]
            waits = row["reconnect_reason"] == "APP_PASSWORD_REVOKED"
            assert row["checked_at"] == self._clock.now() or (
                waits and row["next_check_at"] == row["login_after"] > self._clock.now()
            )
            if true.reasons:
                assert row["reconnect_reason"] in true.reasons, "a proof without a flag"
                assert row["state"] == "BROKEN"
            else:
                assert (row["state"], row["reconnect_reason"]) == ("HEALTHY", None)
                at_peace.add(row["account_id"])
            entry = self._platform.network.ledger[row["account_id"]]
            if not entry.tombstoned and not self._held[key].spoiled:
                assert row["username"] == entry.handle
        broken = {row["account_id"] for row in self._rows.values() if row["reconnect_reason"]}
        assert not [each for each in logins_of_second_round if each.did in at_peace - broken]


def refusal_is_due(refusal: Refusal, reasons: set[str], due: bool) -> bool:
    """Return whether *refusal* has one of *reasons* exactly if *due*."""
    return (refusal.reason in reasons) == due


def as_seen(connection: profile_pb2.Connection) -> tuple[str, bool, str, str]:
    """Return state, flag, reason and username, as a caller sees them."""
    state = profile_pb2.ConnectionState.Name(connection.state)
    reason = profile_pb2.ReconnectReason.Name(connection.reconnect_reason)
    return (
        state.removeprefix("CONNECTION_STATE_"),
        connection.needs_reconnect,
        reason.removeprefix("RECONNECT_REASON_") if connection.HasField("reconnect_reason") else "",
        connection.username,
    )


def as_stored(row: Row) -> tuple[str, bool, str, str]:
    """Return the same of a row."""
    reason = row["reconnect_reason"]
    return row["state"], reason is not None, reason or "", row["username"]
