"""Refusal: the errors with which the sandbox rejects calls, with their status and error name."""

from typing import ClassVar


class Refusal(Exception):
    """A rejected call. The body of the answer is `{"error": error, "message": message}`.

    Subclasses set the status, the error name (default: the name of the class) and the default
    message as class arguments.
    """

    status: ClassVar[int]
    error: ClassVar[str]
    default_message: ClassVar[str]

    def __init_subclass__(cls, status: int = 400, error: str = "", message: str = "") -> None:
        cls.status, cls.error, cls.default_message = status, error or cls.__name__, message

    def __init__(self, message: str = "") -> None:
        self.message = message or self.default_message
        super().__init__(self.message)


# of the real server


class InvalidRequest(Refusal):
    """The method does not accept the request."""


class UnreadableBody(Refusal, error="SyntaxError"):
    """The body is not JSON."""


class InvalidToken(Refusal):
    """The bearer token is not the server's, or of the wrong kind."""


class ExpiredToken(Refusal):
    """The bearer token has expired or was revoked."""


class RepoNotFound(Refusal):
    """The server has no account with the DID."""


class RecordNotFound(Refusal):
    """The account has no such record."""


class AuthMissing(Refusal, status=401, message="Authentication Required"):
    """The method requires a bearer token."""


class AuthenticationRequired(Refusal, status=401, message="Invalid identifier or password"):
    """The login is rejected. Every reason has the same message."""


class AccountDeactivated(Refusal, status=401, message="Account is deactivated"):
    """The account is not active: it cannot write."""


class AccountNotFound(Refusal, status=403, message="Account not found"):
    """The token writes for no such account."""


class AccountTakedown(Refusal, status=401, message="Account has been taken down"):
    """The caller owns the account, and the account is taken down."""


class PayloadTooLarge(
    Refusal, status=413, error="PayloadTooLargeError", message="request entity too large"
):
    """The body exceeds the server's limit."""


class InternalServerError(Refusal, status=500, message="Internal Server Error"):
    """The server failed."""


# of the control surface; a field of the wrong type is InvalidRequest


class InvalidValue(Refusal):
    """A value has the right type and is not valid."""


class UnknownAccount(Refusal, status=404):
    def __init__(self, name: str) -> None:
        super().__init__(
            f"there is no account {name} here; list them: postcore sandbox accounts list"
        )


class UnknownAppPassword(Refusal, status=404):
    def __init__(self, handle: str, name: str) -> None:
        super().__init__(f"{handle} has no app password named {name}")


class UnknownFault(Refusal, status=404):
    """There is no such kind of fault, or none with that number is in force."""


class UnknownMethod(Refusal, status=404):
    """No call can have the method that a fault names."""


class UnknownSwitch(Refusal, status=404):
    """The control surface has no such path, or not with that HTTP method."""


class Taken(Refusal, status=409):
    """The handle, e-mail address or name of an app password is in use."""


class WrongState(Refusal, status=409):
    """The account is not in a state that allows the operation."""


class Forbidden(Refusal, status=403):
    """The request comes from a web page, or names another host than this machine."""
