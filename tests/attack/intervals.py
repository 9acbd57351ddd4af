"""Intervals: what a sample says of the mean it was drawn from, by bootstrap."""

from collections.abc import Sequence
from random import Random
from statistics import fmean

TRIMMED = 0.2
"""Of each end: what a busy machine adds to some calls says nothing of the others."""
RESAMPLES = 400


def trimmed_mean(sample: Sequence[float]) -> float:
    cut = int(len(sample) * TRIMMED)
    return fmean(sorted(sample)[cut : len(sample) - cut])


def interval(sample: Sequence[float]) -> tuple[float, float]:
    """Where the trimmed mean of all such samples is with 95 %."""
    chance = Random(1)
    means = sorted(trimmed_mean(chance.choices(sample, k=len(sample))) for _ in range(RESAMPLES))
    tail = round(RESAMPLES * 0.025)
    return means[tail], means[-tail - 1]
