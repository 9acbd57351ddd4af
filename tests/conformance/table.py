"""Table: what each test heard from either server, side by side."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby

import pytest

from .caller import Caller
from .differences import DIFFERENCES

HEARD = "heard"
WHYS = {difference.name: difference.why for difference in DIFFERENCES}


def note(item: pytest.Item, caller: Caller) -> None:
    """Add the answers that *caller* got in a test to its report."""
    assert isinstance(item, pytest.Function)
    case = item.callspec.id.split("-")
    case.remove(caller.server.name)
    heard = [(method, str(answer), repr(answer)) for method, answer in caller.heard]
    title = (item.function.__doc__ or item.name).removesuffix(".")
    item.user_properties.append((HEARD, [title, "-".join(case), caller.server.name, heard]))


@dataclass
class Row:
    """One test, in all its cases: what it heard, in brief and in full, by server and case."""

    place: tuple[str, int]
    brief: dict[str, dict[str, str]] = field(default_factory=dict)
    full: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    failed: bool = False

    def answers(self, server: str) -> str:
        """What *server* answers, each kind of case once."""
        cases = self.brief.get(server, {})
        return "; ".join(dict.fromkeys(cases[case] for case in sorted(cases))) or "–"

    @property
    def cases(self) -> int:
        return max(len(cases) for cases in self.brief.values())


class Table:
    """A plugin of pytest that fills in the rows."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        self._failed: set[str] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._failed.add(report.nodeid)
        heard_in = dict(report.user_properties).get(HEARD)
        if report.when != "teardown" or not isinstance(heard_in, list):
            return
        name, case, server, heard = heard_in
        if case in WHYS:
            name = case
        place = (report.location[0], report.location[1] or 0)
        row = self.rows.setdefault(name, Row(place))
        row.brief.setdefault(server, {})[case] = "; ".join(_in_turn(heard))
        row.full.setdefault(server, {})[case] = [full for _, _, full in heard]
        row.failed |= report.nodeid in self._failed

    def lines(self) -> Iterator[str]:
        """The table, in Markdown."""
        yield "| Row | Sandbox | Real server | |"
        yield "|---|---|---|---|"
        for name, row in sorted(self.rows.items(), key=lambda row: (row[0] in WHYS, row[1].place)):
            cases = f" ({row.cases} cases)" if row.cases > 1 else ""
            cells = [name + cases, row.answers("sandbox"), row.answers("real"), self.verdict(name)]
            yield f"| {' | '.join(cells)} |"

    def verdict(self, name: str) -> str:
        """Whether both servers answer the same, and if not, why."""
        row = self.rows[name]
        if row.failed:
            return "**failed**"
        if len(row.full) == 1:
            return f"{next(iter(row.full))} only"
        if row.full["sandbox"] == row.full["real"]:
            return "**same**, though among the differences" if name in WHYS else "same"
        return f"different: {WHYS[name]}" if name in WHYS else "**different**"


def _in_turn(heard: list[tuple[str, str, str]]) -> Iterator[str]:
    for (method, brief), again in groupby(heard, key=lambda each: (each[0], each[1])):
        times = len(list(again))
        yield f"{method} {brief}" + (f" ({times} times)" if times > 1 else "")
