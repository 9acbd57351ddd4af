"""Field: a property that a JSON object may have, or has to."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Field:
    """*type* is str, bool, int or float."""

    name: str
    type: type
    required: bool = False
