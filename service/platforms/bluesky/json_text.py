"""JSON text, as servers write it: taken as leniently as the clients of others take it."""

import json
from typing import NoReturn

MAX_DIGITS = 4000
"""Python refuses to read a longer integer."""


def parse(content: bytes) -> object:
    """The value in *content*, which is UTF-8; what is none is replaced. Raises ValueError."""
    text = content.decode("utf-8-sig", "replace")
    try:
        # json alone would take NaN, too
        return json.loads(text, parse_constant=_refuse, parse_int=_number)
    except RecursionError:
        raise ValueError("nested too deep") from None


def _refuse(name: str) -> NoReturn:
    raise ValueError(name)


def _number(digits: str) -> int | float:
    return int(digits) if len(digits) <= MAX_DIGITS else float(digits)
