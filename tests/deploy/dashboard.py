"""Dashboard: the panels of deploy/grafana/postcore.json, with their queries."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from tests.conftest import ROOT

FILE = ROOT / "deploy/grafana/postcore.json"
VARIABLES = {"$__rate_interval": "1m", "$instance": ".*"}
"""What Grafana puts in the place of its variables."""


@dataclass(frozen=True)
class Panel:
    """A panel, the question above it, and its queries with the formats of their legends."""

    question: str
    title: str
    description: str
    kind: str
    unit: str
    words: dict[str, str]
    """What is shown instead of a value."""
    x: int
    y: int
    width: int
    height: int
    legends: Sequence[tuple[str, str]]

    @property
    def queries(self) -> list[str]:
        return [query for query, _ in self.legends]


def panels() -> list[Panel]:
    """Return all panels, in the order of the page."""
    found, question = [], ""
    for each in json.loads(FILE.read_text())["panels"]:
        if each["type"] == "row":
            question = each["title"]
            continue
        place, defaults = each["gridPos"], each["fieldConfig"]["defaults"]
        words = {
            value: shown["text"]
            for mapping in defaults.get("mappings", ())
            for value, shown in mapping["options"].items()
        }
        found.append(
            Panel(
                question,
                each["title"],
                each.get("description", ""),
                each["type"],
                defaults.get("unit", ""),
                words,
                place["x"],
                place["y"],
                place["w"],
                place["h"],
                [(_filled(target["expr"]), target["legendFormat"]) for target in each["targets"]],
            )
        )
    return found


def _filled(query: str) -> str:
    for name, value in VARIABLES.items():
        query = query.replace(name, value)
    assert "$" not in query, query
    return query
