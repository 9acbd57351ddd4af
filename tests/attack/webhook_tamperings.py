"""Webhooks whose sealed secrets, URLs and rows a database writer tampers with.

Each change is made beside the running service; then the webhook is tested. No message may come,
neither at its own receiver nor at the attacker's, since none can be signed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from postcore.profiles.v1 import webhook_service_pb2 as pb
from service.domain.model import Scope
from service.events.webhooks import webhooks
from service.storage.migrations import migrate_apart
from tests.attack.row import Figure
from tests.support.receiver import Receiver
from tests.support.running import Running, running

Edit = tuple[str, tuple[object, ...]]
ENVELOPE = "UPDATE webhook_secrets SET envelope = ? WHERE webhook_id = ?"
UNREADABLE = "SECRET_UNREADABLE"


@dataclass(frozen=True)
class Target:
    """A webhook, its envelope, and others: of the same tenant, and of another."""

    webhook_id: str
    envelope: bytes
    peer: str
    foreign: str
    elsewhere: str


async def attack_webhooks(folder: Path, part: float) -> Figure:
    """Make every change; count the messages that came."""
    database = folder / "webhooks.db"
    assert migrate_apart(f"sqlite:///{database}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(webhooks, "TESTS_PER_SECOND", 1_000_000)
        async with Receiver.started() as own, Receiver.started() as attackers:
            origins = f"{own.origin},{attackers.origin}"
            async with running(database, {"WEBHOOK_ORIGINS": origins}) as service:
                tried, refused = await _attacked(service, own, attackers, part)
        came = len(own.messages) + len(attackers.messages) - 1
    return Figure(
        "webhooks whose secret, URL or row was edited: messages sent, at the receiver or elsewhere",
        f"{came} of {tried}; refused as {UNREADABLE}: {refused}",
        came == 0 < tried == refused,
    )


async def _attacked(
    service: Running, own: Receiver, attackers: Receiver, part: float
) -> tuple[int, int]:
    first, _ = await service.webhook(f"{own.origin}/in")
    peer, _ = await service.webhook(f"{own.origin}/in")
    key, _ = await service.new_key(Scope.WEBHOOKS_WRITE, tenant_id=await service.new_tenant())
    request = pb.CreateWebhookRequest(url=f"{own.origin}/in")
    foreign = await service.webhooks.CreateWebhook(request, metadata=service.metadata(key))
    metadata = await service.webhook_metadata()
    test = pb.TestWebhookRequest(webhook_id=first)
    assert (await service.webhooks.TestWebhook(test, metadata=metadata)).delivered
    [row] = service.rows("SELECT envelope FROM webhook_secrets WHERE webhook_id = ?", first)
    target = Target(
        first, row["envelope"], peer, foreign.webhook.webhook_id, f"{attackers.origin}/in"
    )
    tables = ("webhooks", "webhook_secrets")
    before = {table: service.rows(f"SELECT * FROM {table}") for table in tables}
    tried = refused = 0
    for edits in _changes(target, part):
        for statement, parameters in edits:
            await service.execute(statement, *parameters)
        reply = await service.webhooks.TestWebhook(test, metadata=metadata)
        tried += 1
        refused += reply.cause == UNREADABLE
        for table in tables:
            for kept in before[table]:
                columns = ", ".join(f"{name} = ?" for name in kept)
                statement = f"UPDATE {table} SET {columns} WHERE webhook_id = ?"
                await service.execute(statement, *kept.values(), kept["webhook_id"])
    return tried, refused


def _changes(target: Target, part: float) -> Iterator[Sequence[Edit]]:
    """Yield each change as its statements."""
    was, own = target.envelope, target.webhook_id
    for place in range(0, len(was), max(1, round(1 / part))):
        flipped = was[:place] + bytes([was[place] ^ 1]) + was[place + 1 :]
        yield [(ENVELOPE, (flipped, own))]
        yield [(ENVELOPE, (was[:place], own))]
    for longer in (was + b"\0", b"\0" + was, was + was):
        yield [(ENVELOPE, (longer, own))]
    copied = (
        "UPDATE webhook_secrets SET (generation, ring_key_id, envelope) = (SELECT generation,"
        " ring_key_id, envelope FROM webhook_secrets WHERE webhook_id = ?) WHERE webhook_id = ?"
    )
    for other in (target.peer, target.foreign):
        yield [(copied, (other, own))]
    yield [("UPDATE webhooks SET url = ? WHERE webhook_id = ?", (target.elsewhere, own))]
    yield [("UPDATE webhook_secrets SET generation = generation + 1 WHERE webhook_id = ?", (own,))]
    yield [("UPDATE webhook_secrets SET ring_key_id = 'gone' WHERE webhook_id = ?", (own,))]
    yield [("UPDATE webhook_secrets SET expires_at = 1 WHERE webhook_id = ?", (own,))]
