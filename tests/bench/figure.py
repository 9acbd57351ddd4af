"""Figure: the measured value of each round, beside its target."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any


@dataclass(frozen=True)
class Figure:
    """The median is compared with the target: at least *least*, or at most *most*.

    A figure with neither has no target.
    """

    name: str
    unit: str
    values: Sequence[float]
    least: float | None = None
    most: float | None = None

    @property
    def median(self) -> float:
        return median(self.values)

    @property
    def has_target(self) -> bool:
        return self.least is not None or self.most is not None

    @property
    def is_met(self) -> bool:
        return (self.least is None or self.median >= self.least) and (
            self.most is None or self.median <= self.most
        )

    @property
    def target(self) -> str:
        if self.least is not None:
            return f"≥ {self.least:g}"
        return "" if self.most is None else f"≤ {self.most:g}"

    @property
    def row(self) -> str:
        low, middle, high = (
            f"{value:9.2f}" for value in (min(self.values), self.median, max(self.values))
        )
        verdict = ("met" if self.is_met else "MISSED") if self.has_target else ""
        return f"{self.name:62} {low} {middle} {high}  {self.unit:6} {self.target:>7}  {verdict}"

    def as_json(self) -> dict[str, Any]:
        met = self.is_met if self.has_target else None
        return {**asdict(self), "median": self.median, "met": met}


HEAD = f"{'':62} {'min':>9} {'median':>9} {'max':>9}  {'':6} {'target':>7}"


def summary(figures: Sequence[Figure]) -> str:
    """`bench: N of M targets met`"""
    targets = [figure for figure in figures if figure.has_target]
    return f"bench: {sum(figure.is_met for figure in targets)} of {len(targets)} targets met"
