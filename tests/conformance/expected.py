"""Expected: the answers that both servers are to give, word for word."""

from .answers import Answer

ACCESS = "com.atproto.access"
APP = "com.atproto.appPass"
PRIVILEGED = "com.atproto.appPassPrivileged"
TAKENDOWN = "com.atproto.takendown"

PROFILE = "app.bsky.actor.profile"

HOUR = 3600
DAY = 24 * HOUR


def refused(status: int, error: str, message: str) -> Answer:
    return Answer(status, {"error": error, "message": message})


NOTHING = Answer(200, None, {})
INVALID_LOGIN = refused(401, "AuthenticationRequired", "Invalid identifier or password")
TOO_LONG = refused(
    401, "AuthenticationRequired", "Password too long. Consider resetting your password."
)
TAKEN_DOWN = refused(401, "AccountTakedown", "Account has been taken down")
REVOKED = refused(400, "ExpiredToken", "Token has been revoked")
EXPIRED = refused(400, "ExpiredToken", "Token has expired")
UNVERIFIED = refused(400, "InvalidToken", "Token could not be verified")
WRONG_KIND = refused(400, "InvalidToken", "Invalid token type")
RESOLVED = Answer(200, {"did": "<did>"})
UNRESOLVED = refused(400, "InvalidRequest", "Unable to resolve handle")
NO_USER = refused(400, "InvalidRequest", "Could not find user info for account: <did>")
NO_REPO = refused(400, "RepoNotFound", "Could not find repo for DID: <did>")
NO_RECORD = refused(400, "InvalidRequest", "Could not locate record")
NO_TOKEN = refused(401, "AuthMissing", "Authentication Required")
TOO_MANY = refused(429, "RateLimitExceeded", "Rate Limit Exceeded")
CRASHED = refused(500, "InternalServerError", "Internal Server Error")


def account(
    *, status: str = "", handle: str = "<handle>", documented: Answer | None = None
) -> Answer:
    """The answer of getSession; *status* is that of an inactive account."""
    body = {
        "did": "<did>",
        "didDoc": (documented or document(handle=handle)).body,
        "handle": handle,
        "email": "<email>",
        "emailConfirmed": False,
        **_activity(status),
    }
    return Answer(200, body)


def session(
    scope: str = APP,
    *,
    status: str = "",
    handle: str = "<handle>",
    documented: Answer | None = None,
) -> Answer:
    """The answer of a login or a refresh: new tokens, and the account."""
    tokens = {"aud": "did:web:localhost", "sub": "<did>", "alg": "HS256", "issued": "now"}
    access = {**tokens, "typ": "at+jwt", "scope": scope, "lives": 2 * HOUR}
    refresh = {
        **tokens,
        "typ": "refresh+jwt",
        "scope": "com.atproto.refresh",
        "jti": "<jti>",
        "lives": 90 * DAY,
    }
    shown = account(status=status, handle=handle, documented=documented).body
    return Answer(200, {"accessJwt": access, "refreshJwt": refresh, **shown})


def account_status(*, status: str = "") -> Answer:
    """The answer of getRepoStatus: an active account has a revision."""
    revision = {} if status else {"rev": "<rev>"}
    return Answer(200, {"did": "<did>", **_activity(status), **revision})


def document(*, handle: str = "<handle>", endpoint: str = "<origin>") -> Answer:
    """What the directory has of a DID."""
    body = {
        "@context": [
            "https://www.w3.org/ns/did/v1",
            "https://w3id.org/security/suites/secp256k1-2019/v1",
        ],
        "id": "<did>",
        "alsoKnownAs": [f"at://{handle}"],
        "verificationMethod": [
            {
                "id": "#atproto",
                "type": "EcdsaSecp256k1VerificationKey2019",
                "controller": "<did>",
                "publicKeyMultibase": "<publicKeyMultibase>",
            }
        ],
        "service": [
            {
                "id": "#atproto_pds",
                "type": "AtprotoPersonalDataServer",
                "serviceEndpoint": endpoint,
            }
        ],
    }
    return Answer(200, body, {"content-type": "application/did+ld+json; charset=utf-8"})


def _activity(status: str) -> dict[str, object]:
    return {"active": False, "status": status} if status else {"active": True}
