"""The errors that account servers are known to send, and what they mean.

Source: the code of fourteen servers; tests/platforms/answers.json has the answers, by server and
version. An entry without a server's name is from the reference server, or from several.
"""

import re

from service.domain.model import AccountStatus

RATE_LIMIT = "RateLimitExceeded"
REJECTED_STATUSES = (400, 401, 403)
REJECTED = frozenset(
    (
        "AuthenticationRequired",
        "AuthenticationFailed",  # tranquil
        "InvalidCredentials",
    )
)
"""createSession rejected identifier and password. This is a proof."""

SOUNDS_REJECTED = re.compile(
    r"(invalid|incorrect|wrong|bad) ?(identifier|handle|login|username|app ?password|password"
    r"|credentials?)|password (did|does) not match",
    re.IGNORECASE,
)
"""The same, in the wording of any server. It may mean something else, so it is not a proof; it is
enough to reject a connect."""
REJECTED_MESSAGES = frozenset(
    (
        (400, "InvalidRequest", ""),  # cocoon
        (401, "", "user not found"),  # millipds
    )
)
"""More such answers, by status, error and message."""

SECOND_FACTOR = frozenset(
    (
        "AuthFactorTokenRequired",
        "MfaRequired",  # tranquil
    )
)

INACTIVE_ACCOUNTS = {
    "AccountTakedown": "takendown",
    "AccountTakenDown": "takendown",  # openfederation
    "AccountSuspended": "suspended",
    "AccountDeactivated": "deactivated",
    "AccountDeleted": "deleted",
    "AccountInactive": "inactive",
    "AccountNotApproved": "inactive",  # openfederation
    "account_not_verified": "inactive",  # tranquil
}

SESSION_ENDED = frozenset(
    (
        "AuthRequired",  # pegasus
        "AuthenticationFailed",  # tranquil
        "AuthenticationRequired",
        "ExpiredToken",
        "InvalidRequest",
        "InvalidToken",
    )
)
"""refreshSession: the session can no longer be refreshed."""
NO_TOKEN = "AuthMissing"  # noqa: S105 - an error's name
"""refreshSession: the token did not arrive. A proxy may have removed it."""
BODY_REJECTED = ("InvalidRequest", "A request body was provided when none was expected")

WRONG_TOKEN = frozenset(
    (
        "InvalidToken",  # cocoon
        "AuthenticationFailed",  # tranquil
    )
)
"""deleteSession: the server rejected the refresh token because it expects the access token."""

ACCOUNT_STATUSES = {
    "deactivated": AccountStatus.DEACTIVATED,
    "suspended": AccountStatus.SUSPENDED,
    "takendown": AccountStatus.TAKEN_DOWN,
    "deleted": AccountStatus.NOT_FOUND,
}
"""The statuses of accounts that are not active."""
ACCOUNT_STATUS_ERRORS = {
    "RepoNotFound": AccountStatus.NOT_FOUND,
    "RepoDeactivated": AccountStatus.DEACTIVATED,
    "RepoSuspended": AccountStatus.SUSPENDED,
    "RepoTakendown": AccountStatus.TAKEN_DOWN,
}
"""getRepoStatus, by error."""
ACCOUNT_STATUS_MESSAGES = {
    "could not find account for did: {did}": AccountStatus.NOT_FOUND,
    "account for did: {did} is deactivated": AccountStatus.DEACTIVATED,
    "account for did: {did} is taken down": AccountStatus.TAKEN_DOWN,
    "repo not found": AccountStatus.NOT_FOUND,
}
"""getRepoStatus, by message: blue-nile, and ezpds for the last one."""
