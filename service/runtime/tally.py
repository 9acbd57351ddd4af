"""Tallies: counters and histograms for what happens at every call.

They cost a tenth of the library's own, whose locks the event loop does not need: a tally is changed
and collected in the loop's thread alone.
"""

from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate

from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.utils import floatToGoString


class Count:
    """One series of a CounterTally; add to *value*."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0


class CounterTally:
    """A counter: its series by the values of their labels."""

    def __init__(self, name: str, text: str, labels: tuple[str, ...]) -> None:
        self._about = name, text
        self._labels = labels
        self._series: dict[tuple[str, ...], Count] = {}

    def labels(self, *values: str) -> Count:
        """Return the series with these labels; make it if it is new."""
        found = self._series.get(values)
        if found is None:
            found = self._series[values] = Count()
        return found

    def collect(self) -> Iterator[CounterMetricFamily]:
        """Return the samples, for a registry."""
        family = CounterMetricFamily(*self._about, labels=self._labels)
        for values, series in self._series.items():
            family.add_metric(values, series.value)
        yield family


class Distribution:
    """One series of a HistogramTally."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


class HistogramTally:
    """A histogram with the upper *bounds*: its series by the values of their labels."""

    def __init__(
        self, name: str, text: str, labels: tuple[str, ...], bounds: tuple[float, ...]
    ) -> None:
        self._about = name, text
        self._bounds = bounds
        self._named = [*map(floatToGoString, self._bounds), "+Inf"]
        self._labels = labels
        self._series: dict[tuple[str, ...], Distribution] = {}

    def labels(self, *values: str) -> Distribution:
        """Return the series with these labels; make it if it is new."""
        found = self._series.get(values)
        if found is None:
            found = self._series[values] = Distribution(self._bounds)
        return found

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """Return the samples, for a registry."""
        family = HistogramMetricFamily(*self._about, labels=self._labels)
        for values, series in self._series.items():
            buckets = list(zip(self._named, accumulate(series.counts), strict=True))
            family.add_metric(values, buckets, series.total)
        yield family
