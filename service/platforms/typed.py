"""Typed text: what people paste around a value."""

import unicodedata


def trimmed(text: str) -> str:
    """Return *text* without white space and invisible marks at its ends."""
    start, end = 0, len(text)
    while start < end and is_blank(text[start]):
        start += 1
    while start < end and is_blank(text[end - 1]):
        end -= 1
    return text[start:end]


def without_marks(text: str) -> str:
    """Return *text* without white space at its ends, and without invisible marks anywhere."""
    return "".join(each for each in trimmed(text) if unicodedata.category(each) != "Cf")


def without_spaces(text: str) -> str:
    """Return *text* without white space and invisible marks anywhere."""
    return "".join(each for each in text if not is_blank(each))


def is_blank(character: str) -> bool:
    """Whether *character* is white space or an invisible mark (Unicode's category Cf)."""
    return character.isspace() or unicodedata.category(character) == "Cf"
