"""Tallies: the same samples as the library's own metrics."""

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from service.runtime.tally import CounterTally, HistogramTally

BOUNDS = (0.001, 0.5, 1.0, 10.0)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from([0, *BOUNDS, 0.7, 11]))))
def test_a_tally_reads_like_the_librarys_own(observed: list[tuple[str, float]]) -> None:
    """Bounds belong to the lower bucket; sums, counts and names are equal."""
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    counter, histogram = CounterTally("c", "text", ("x",)), HistogramTally("h", "t", ("x",), BOUNDS)
    ours.register(counter)
    ours.register(histogram)
    their_counter = Counter("c", "text", ("x",), registry=theirs)
    their_histogram = Histogram("h", "t", ("x",), buckets=BOUNDS, registry=theirs)
    for label, value in observed:
        counter.labels(label).value += 1
        histogram.labels(label).observe(value)
        their_counter.labels(label).inc()
        their_histogram.labels(label).observe(value)

    def samples(registry: CollectorRegistry) -> set[str]:
        text = generate_latest(registry).decode()
        return {line for line in text.splitlines() if "_created" not in line}

    assert samples(ours) == samples(theirs)
