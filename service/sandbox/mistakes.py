"""Mistake: a switch turned in a way that it does not turn.

    Refusal
    ├── InvalidValue        400   of the right type, but it makes no sense
    ├── UnknownAccount      404
    ├── UnknownAppPassword  404
    ├── UnknownFault        404   no such kind, or none of that number in force
    ├── UnknownMethod       404   to a fault, that is: no call could ever meet it
    ├── UnknownSwitch       404   nothing here has that name, or not with that verb
    ├── Taken               409   handle, e-mail address, or name of an app password
    ├── WrongState          409   such as lifting what was not taken down
    └── Forbidden           403   asked by a web page, or by another name than this machine's

A field of the wrong type is InvalidRequest, in the words of the server itself.
"""

from service.sandbox.refusals import Refusal


class InvalidValue(Refusal):
    error = "InvalidValue"


class UnknownAccount(Refusal):
    status = 404
    error = "UnknownAccount"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"there is no account {name} here; list them: postcore sandbox accounts list"
        )


class UnknownAppPassword(Refusal):
    status = 404
    error = "UnknownAppPassword"

    def __init__(self, handle: str, name: str) -> None:
        super().__init__(f"{handle} has no app password named {name}")


class UnknownFault(Refusal):
    status = 404
    error = "UnknownFault"


class UnknownMethod(Refusal):
    status = 404
    error = "UnknownMethod"


class UnknownSwitch(Refusal):
    status = 404
    error = "UnknownSwitch"


class Taken(Refusal):
    status = 409
    error = "Taken"


class WrongState(Refusal):
    status = 409
    error = "WrongState"


class Forbidden(Refusal):
    status = 403
    error = "Forbidden"
