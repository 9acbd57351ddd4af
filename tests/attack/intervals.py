"""Intervals: bootstrap confidence intervals of a trimmed mean."""

from collections.abc import Sequence
from random import Random
from statistics import fmean

TRIMMED = 0.2
"""The part trimmed at each end, against outliers from a busy machine."""
RESAMPLES = 400


def trimmed_mean(sample: Sequence[float]) -> float:
    cut = int(len(sample) * TRIMMED)
    return fmean(sorted(sample)[cut : len(sample) - cut])


def interval(sample: Sequence[float]) -> tuple[float, float]:
    """Return the 95 % confidence interval of the trimmed mean."""
    chance = Random(1)
    means = sorted(trimmed_mean(chance.choices(sample, k=len(sample))) for _ in range(RESAMPLES))
    tail = round(RESAMPLES * 0.025)
    return means[tail], means[-tail - 1]
