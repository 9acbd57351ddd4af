"""Words: the messages of the page in the language of the person who reads it."""

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

CATALOGUE = Path(__file__).with_name("messages.toml")
LANGUAGES = ("en", "de", "es")
"""The languages of the page; the first is the default."""
MAX_ACCEPTED = 20
"""How many languages of a browser's list are looked at."""


class CardText(NamedTuple):
    """A text of a platform's card, and the language that it is in."""

    text: str
    lang: str


@cache
def catalogue() -> dict[str, dict[str, dict[str, str]]]:
    """Return the messages, by section, name and language."""
    return tomllib.loads(CATALOGUE.read_text(encoding="utf-8"))


@dataclass(frozen=True, slots=True)
class Words:
    """The messages in one language."""

    lang: str

    def __call__(self, name: str, section: str = "names", **values: str) -> str:
        return catalogue()[section][name][self.lang].format_map(values)

    def has(self, name: str, section: str) -> bool:
        return name in catalogue()[section]

    def of_card(self, text: str) -> CardText:
        """Return a text of a card in this language, or as it is."""
        known: Any = catalogue()["card"].get(text, {})
        if self.lang in known:
            return CardText(known[self.lang], self.lang)
        return CardText(text, LANGUAGES[0])


def words_for(locale: str, accept_language: str) -> Words:
    """Return the words of *locale*, else of what the browser accepts, else English."""
    wanted = [locale, *_by_preference(accept_language)]
    for each in wanted:
        language = each.strip().lower().partition("-")[0]
        if language in LANGUAGES:
            return Words(language)
    return Words(LANGUAGES[0])


def _by_preference(accept_language: str) -> list[str]:
    """Return the languages of an Accept-Language header, the most wanted first."""
    found = []
    for part in accept_language.split(",")[:MAX_ACCEPTED]:
        name, _, quality = part.partition(";")
        weight = quality.strip().removeprefix("q=")
        try:
            found.append((-float(weight or 1), name))
        except ValueError:
            continue
    return [name for _, name in sorted(found, key=lambda each: each[0])]
