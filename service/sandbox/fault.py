"""Fault: a way in which a server answers wrongly, and what all such ways have in common."""

from dataclasses import MISSING, fields
from typing import ClassVar

from service.sandbox.answer import Answer
from service.sandbox.call import Call
from service.sandbox.field import Field

LARGEST = 1_000_000


class Fault:
    """A dataclass whose fields are what can be set, over HTTP and on the command line alike.

    *name* is what it is called by, its docstring what is told about it. Raises ValueError where a
    field makes no sense.
    """

    name: ClassVar[str]

    def __post_init__(self) -> None:
        for each in fields(self):  # type: ignore[arg-type] # its heirs are dataclasses
            value = getattr(self, each.name)
            if isinstance(value, int | float) and not 0 < value <= LARGEST:
                raise ValueError(f"{each.name} must be more than 0, and at most {LARGEST}")

    async def play(self, call: Call) -> None:
        """Answer *call* in this way; raises Gone when its caller hangs up first."""
        answer = await self.answer(call)
        await call.start(answer)
        await call.go_on(answer.body, more=False)

    async def answer(self, call: Call) -> Answer:
        """What is sent, where it is sent as usual."""
        return await call.truth()


def settings_of(kind: type[Fault]) -> tuple[Field, ...]:
    """What can be set of a fault: those without a default have to be."""
    return tuple(
        Field(each.name, each.type, each.default is MISSING)  # type: ignore[arg-type]
        for each in fields(kind)  # type: ignore[arg-type]
        if each.init
    )
