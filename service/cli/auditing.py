"""Records operators' commands in the audit trail."""

import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from service.cli.console import run
from service.domain.audit import FAILED, OK, STARTED, AuditedCall, audited
from service.settings import Settings


def operator() -> str:
    """Return the login name of the operator, also under sudo; else the process's user."""
    with suppress(OSError):
        return os.getlogin()
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"


def _call(command: str) -> AuditedCall:
    from service.domain.ids import random_id

    return AuditedCall(command, f"cli_{random_id()}", operator())


@contextmanager
def recorded_with_change(command: str) -> Iterator[None]:
    """Have the block's transaction record *command*: it fails if its row cannot be written."""
    with audited(_call(command)):
        yield


@contextmanager
def recorded(read: Settings, command: str, key_id: str = "") -> Iterator[None]:
    """Record *command*, which has no transaction of its own, before and after the block.

    The block does not begin if the first row, STARTED, cannot be written. Records nothing where
    there is no database yet, or one with an older schema: the command must not migrate it.
    """
    call = _call(command)
    run(_add(read, call, STARTED, key_id))
    outcome = FAILED
    try:
        yield
        outcome = OK
    finally:
        run(_add(read, call, outcome, key_id))


async def _add(read: Settings, call: AuditedCall, outcome: str, key_id: str) -> None:
    from service.app.startup import open_store
    from service.domain.clock import SystemClock
    from service.storage.opening import has_present_schema

    if not await has_present_schema(read.database_url):
        return
    async with open_store(read) as store:
        await store.audit.add([call.row(SystemClock().now(), outcome, key_id=key_id)])
