"""JSON text from servers, parsed as leniently as other clients parse it."""

import json
from typing import NoReturn

MAX_DIGITS = 4000
"""Python rejects longer integers; they are parsed as floats."""


def parse(content: bytes) -> object:
    """Parse UTF-8, with invalid bytes replaced; raise ValueError if it is not JSON."""
    text = content.decode("utf-8-sig", "replace")
    try:
        # json alone also accepts NaN and Infinity
        return json.loads(text, parse_constant=_reject, parse_int=_number)
    except RecursionError:
        raise ValueError("nested too deep") from None


def _reject(name: str) -> NoReturn:
    raise ValueError(name)


def _number(digits: str) -> int | float:
    return int(digits) if len(digits) <= MAX_DIGITS else float(digits)
