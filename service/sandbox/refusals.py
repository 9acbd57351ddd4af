"""Refusal: a call the server turns down, in the words of XRPC.

    Refusal
    ├── InvalidRequest          400
    ├── UnreadableBody          400   named SyntaxError on the wire
    ├── InvalidToken            400
    ├── ExpiredToken            400   also: revoked
    ├── RepoNotFound            400
    ├── RecordNotFound          400
    ├── AuthMissing             401
    ├── AuthenticationRequired  401   one sentence for every reason: they cannot be told apart
    ├── AccountTakedown         401
    ├── PayloadTooLarge         413
    └── InternalServerError     500

Status and error name belong together in the protocol, so they stand together here, once.
"""

from typing import ClassVar


class Refusal(Exception):
    """A call turned down: the body is `{"error": error, "message": message}` with that status."""

    status: ClassVar[int] = 400
    error: ClassVar[str]

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class InvalidRequest(Refusal):
    """The request is not one this method takes."""

    error = "InvalidRequest"


class UnreadableBody(Refusal):
    """The body is not JSON."""

    error = "SyntaxError"


class InvalidToken(Refusal):
    """The bearer token is none of ours, or of the wrong kind."""

    error = "InvalidToken"


class ExpiredToken(Refusal):
    """The bearer token was good once."""

    error = "ExpiredToken"


class RepoNotFound(Refusal):
    """No account here has that DID."""

    error = "RepoNotFound"


class RecordNotFound(Refusal):
    """The account has no such record."""

    error = "RecordNotFound"


class AuthMissing(Refusal):
    """The method wants a bearer token and got none."""

    status = 401
    error = "AuthMissing"

    def __init__(self) -> None:
        super().__init__("Authentication Required")


class AuthenticationRequired(Refusal):
    """The login is refused."""

    status = 401
    error = "AuthenticationRequired"

    def __init__(self, message: str = "Invalid identifier or password") -> None:
        super().__init__(message)


class AccountTakedown(Refusal):
    """The account's owner is known, and the account is taken down."""

    status = 401
    error = "AccountTakedown"

    def __init__(self) -> None:
        super().__init__("Account has been taken down")


class PayloadTooLarge(Refusal):
    """The body is larger than the server reads."""

    status = 413
    error = "PayloadTooLargeError"

    def __init__(self) -> None:
        super().__init__("request entity too large")


class InternalServerError(Refusal):
    """The server failed; it says no more than that."""

    status = 500
    error = "InternalServerError"

    def __init__(self) -> None:
        super().__init__("Internal Server Error")
