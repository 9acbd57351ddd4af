"""Check results: what a check proved, or why it proved nothing."""

from dataclasses import dataclass

from service.domain.errors import (
    AccountInactive,
    InvalidCredentials,
    PlatformUnavailable,
    RateLimitExceeded,
    ServiceError,
)
from service.domain.model import (
    SECOND,
    AccountStatus,
    InvalidCredentialsCause,
    Micros,
    PlatformUnavailableCause,
    PlatformUnavailableStep,
    ReconnectReason,
)

INACTIVE_REASONS = {
    AccountStatus.DEACTIVATED: ReconnectReason.ACCOUNT_DEACTIVATED,
    AccountStatus.SUSPENDED: ReconnectReason.ACCOUNT_SUSPENDED,
    AccountStatus.TAKEN_DOWN: ReconnectReason.ACCOUNT_TAKEN_DOWN,
    AccountStatus.SWITCHED_OFF: ReconnectReason.CREDENTIALS_SWITCHED_OFF,
}
"""By the account's status. Such a status may end: the secret is kept, and checks ask for the status
alone."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """Proof that a connection works (*reason* None) or does not, or a doubt.

    *doubt*: why nothing was proved; empty if something was. *is_unchanged*: the doubt leaves what
    was proved before. *again_in*: microseconds in which another check would find nothing new.
    *error*: what a waiting caller gets.
    """

    reason: ReconnectReason | None = None
    doubt: str = ""
    is_unchanged: bool = False
    again_in: Micros = 0
    error: ServiceError | None = None

    def as_error(self) -> ServiceError:
        """Return the error for a caller who needed a session and got this doubt."""
        if self.error is not None:
            return self.error
        wait = self.again_in / SECOND
        if self.doubt == "login_waits":
            return RateLimitExceeded(wait)
        if self.doubt == "moved":
            return PlatformUnavailable(
                PlatformUnavailableCause.SERVER_CHANGED, "moved", retry_after=wait
            )
        # the platform's words prove nothing, and the next login is likely to end the same way
        error = PlatformUnavailable(
            PlatformUnavailableCause.UNEXPECTED_ANSWER, self.doubt, retry_after=None
        )
        return error.at(PlatformUnavailableStep.SERVER)


def doubt_of(error: ServiceError) -> CheckResult:
    """Return the result of a check that *error* ended."""
    # a platform's outage says nothing of the next check; a limit does
    is_limit = not isinstance(error, PlatformUnavailable)
    wait = int((error.retry_after or 0) * SECOND) if is_limit else 0
    return CheckResult(doubt=error.why or type(error).__name__, again_in=wait, error=error)


def rejected_login(
    error: InvalidCredentials | AccountInactive, before: AccountStatus, after: AccountStatus
) -> CheckResult:
    """Return what a rejected login proves, given the account's status *before* and *after* it."""
    if after in INACTIVE_REASONS:
        return CheckResult(INACTIVE_REASONS[after])
    rejected = InvalidCredentialsCause.REJECTED_BY_PLATFORM
    if isinstance(error, InvalidCredentials) and error.cause is rejected:
        if before is after is AccountStatus.ACTIVE:
            return CheckResult(ReconnectReason.APP_PASSWORD_REVOKED)
        if before is after is AccountStatus.NOT_FOUND:
            return CheckResult(ReconnectReason.ACCOUNT_DELETED)
    # a server may report an inactive account to its owner alone, which is no proof
    inactive = error if isinstance(error, AccountInactive) else None
    return CheckResult(doubt="odd_refusal", error=inactive)
