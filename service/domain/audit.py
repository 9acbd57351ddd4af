"""The audit trail: a row for each write, lease, refusal of these, and operator's command."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import NamedTuple

from service.domain.model import Lent, Micros

OK = "OK"
CANCELLED = "CANCELLED"
STARTED = "STARTED"
FAILED = "FAILED"
VERIFY = "VerifyConnection"


class AuditRow(NamedTuple):
    """One row. It holds no secret and no text of a platform. An empty text means: none."""

    at: Micros
    tenant_id: str
    """Empty for calls with unknown keys, and for commands that concern no tenant."""
    method: str
    """Of the contract, such as ConnectProfile, or a command, such as `api-keys create`."""
    outcome: str
    """OK, CANCELLED or the reason of a refusal; of commands without a transaction, STARTED, and
    then OK or FAILED."""
    key_id: str = ""
    """The API key that the call was made with, or that the command changed."""
    operator: str = ""
    """The login name of the operator who ran the command."""
    peer: str = ""
    """The caller's address, or the name in its client certificate."""
    profile_key: str = ""
    platform: str = ""
    account_id: str = ""
    """Of the account at its platform, or of the webhook."""
    lent: str = ""
    """What was lent: a value of Lent."""
    expires_at: Micros = 0
    """When a lent token expires; 0: nothing was lent, or it does not expire."""
    request_id: str = ""
    left_out: int = 0
    """How many refusals of the tenant were not recorded since its last recorded one."""
    number: int = 0
    """The row's number in the order of writing; 0: not written yet."""


@dataclass(slots=True)
class AuditedCall:
    """The call or command in progress that must leave a row.

    The boundary, or the command, fills it in. The store adds the row to the transaction of the
    change, and sets *is_recorded*. The boundary records what ends without one.
    """

    method: str
    request_id: str
    operator: str = ""
    peer: str = ""
    tenant_id: str = ""
    key_id: str = ""
    profile_key: str = ""
    platform: str = ""
    account_id: str = ""
    is_recorded: bool = False

    def row(
        self,
        at: Micros,
        outcome: str = OK,
        *,
        tenant_id: str = "",
        key_id: str = "",
        profile_key: str = "",
        platform: str = "",
        account_id: str = "",
        lent: Lent | None = None,
        expires_at: Micros = 0,
    ) -> AuditRow:
        """Return the row of this call. What is given replaces what the request named."""
        return AuditRow(
            at,
            tenant_id or self.tenant_id,
            self.method,
            outcome,
            key_id or self.key_id,
            self.operator,
            self.peer,
            profile_key or self.profile_key,
            platform or self.platform,
            account_id or self.account_id,
            lent.value if lent else "",
            expires_at,
            self.request_id,
        )


_current: ContextVar[AuditedCall | None] = ContextVar("audited_call", default=None)


def current() -> AuditedCall | None:
    """Return the audited call in progress; None for reads and for background work."""
    return _current.get()


@contextmanager
def audited(call: AuditedCall | None) -> Iterator[None]:
    """Make *call* the current one inside the block, and in tasks that start there."""
    token = _current.set(call)
    try:
        yield
    finally:
        _current.reset(token)
