"""Bluesky's words: the errors that account servers are known to send, and what they mean.

Read in the sources of fourteen servers; tests/platforms/answers.json has the answers, by server and
version. Those without a server's name are the reference's, or those of several.
"""

import re

from service.domain.model import AccountStatus

LIMIT = "RateLimitExceeded"
REFUSED_STATUSES = (400, 401, 403)
REFUSED = frozenset(
    (
        "AuthenticationRequired",
        "AuthenticationFailed",  # tranquil
        "InvalidCredentials",
    )
)
"""In answer to createSession: identifier and password were refused. This is a proof."""

SOUNDS_REFUSED = re.compile(
    r"(invalid|incorrect|wrong|bad) ?(identifier|handle|login|username|app ?password|password"
    r"|credentials?)|password (did|does) not match",
    re.IGNORECASE,
)
"""The same in words for people, of any server. They may mean something else, so this is no proof:
it is only what a person who connects is told."""
REFUSED_MESSAGES = frozenset(
    (
        (400, "InvalidRequest", ""),  # cocoon
        (401, "", "user not found"),  # millipds
    )
)
"""Others, by status, name and message."""

SECOND_FACTOR = frozenset(
    (
        "AuthFactorTokenRequired",
        "MfaRequired",  # tranquil
    )
)

INACTIVE = {
    "AccountTakedown": "takendown",
    "AccountTakenDown": "takendown",  # openfederation
    "AccountSuspended": "suspended",
    "AccountDeactivated": "deactivated",
    "AccountDeleted": "deleted",
    "AccountInactive": "inactive",
    "AccountNotApproved": "inactive",  # openfederation
    "account_not_verified": "inactive",  # tranquil
}

ENDED = frozenset(
    (
        "AuthRequired",  # pegasus
        "AuthenticationFailed",  # tranquil
        "AuthenticationRequired",
        "ExpiredToken",
        "InvalidRequest",
        "InvalidToken",
    )
)
"""In answer to refreshSession: the session is refreshed no more."""
NO_TOKEN = "AuthMissing"  # noqa: S105 - an error's name
"""In answer to refreshSession: the token has not arrived. A proxy may have removed it."""
BODY_REFUSED = ("InvalidRequest", "A request body was provided when none was expected")

WRONG_TOKEN = frozenset(
    (
        "InvalidToken",  # cocoon
        "AuthenticationFailed",  # tranquil
    )
)
"""In answer to deleteSession: servers that want the access token refuse the refresh token so."""

ACCOUNT_STATUSES = {
    "RepoNotFound": AccountStatus.NOT_FOUND,
    "RepoDeactivated": AccountStatus.DEACTIVATED,
    "RepoSuspended": AccountStatus.SUSPENDED,
    "RepoTakendown": AccountStatus.TAKEN_DOWN,
}
"""In answer to getRepoStatus."""
ACCOUNT_STATUS_MESSAGES = {
    "could not find account for did: {did}": AccountStatus.NOT_FOUND,
    "account for did: {did} is deactivated": AccountStatus.DEACTIVATED,
    "account for did: {did} is taken down": AccountStatus.TAKEN_DOWN,
    "repo not found": AccountStatus.NOT_FOUND,
}
"""In answer to getRepoStatus, by message: blue-nile, and ezpds for the last."""
