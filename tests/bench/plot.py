"""Plot: SVG bars of the figures with a target, by their distance from it."""

from collections.abc import Sequence
from html import escape

from tests.bench.figure import Figure

WIDTH, NAMES, ROW, TOP = 1000, 420, 34, 64
MAX_TIMES = 2.0
"""The longest bar, in multiples of its target."""
MET, MISSED, INK, PALE = "#1a7f5a", "#c2452d", "#24292f", "#d0d7de"


def drawn(figures: Sequence[Figure]) -> str:
    """Draw a bar for each figure, from its worst round to its best, with its median.

    The line in the middle is the target; a value right of it is better.
    """
    rows = [figure for figure in figures if figure.has_target]
    height = TOP + ROW * len(rows) + 40
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
        f'viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="13" fill="{INK}">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        '<text x="16" y="26" font-size="16" font-weight="bold">Each figure beside its target'
        "</text>",
        '<text x="16" y="46" fill="#57606a">bar: worst to best round · mark: median · '
        "right of the line is better than the target</text>",
    ]
    for times in (0.0, 0.5, 1.0, 1.5, MAX_TIMES):
        at = _at(times)
        dark = times == 1
        parts += [
            f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{TOP}" y2="{height - 34}" '
            f'stroke="{INK if dark else PALE}" stroke-width="{2 if dark else 1}"/>',
            f'<text x="{at:.1f}" y="{height - 16}" text-anchor="middle">'
            f"{'target' if dark else f'{times:g} ×'}</text>",
        ]
    for number, figure in enumerate(rows):
        y = TOP + ROW * number + ROW / 2
        colour = MET if figure.is_met else MISSED
        ends = sorted(
            _at(_times(figure, value)) for value in (min(figure.values), max(figure.values))
        )
        at = _at(_times(figure, figure.median))
        label = f"{figure.median:.2f} {figure.unit} ({figure.target})"
        parts += [
            f'<text x="{NAMES - 10}" y="{y + 4:.1f}" text-anchor="end">'
            f"{escape(figure.name, quote=False)}</text>",
            f'<rect x="{ends[0] - 2:.1f}" y="{y - 7:.1f}" width="{ends[1] - ends[0] + 4:.1f}" '
            f'height="14" rx="3" fill="{colour}" opacity="0.35"/>',
            f'<rect x="{at - 2:.1f}" y="{y - 10:.1f}" width="4" height="20" fill="{colour}"/>',
            f'<text x="{WIDTH - 16}" y="{y + 4:.1f}" text-anchor="end" fill="{colour}">'
            f"{escape(label, quote=False)}</text>",
        ]
    return "\n".join([*parts, "</svg>", ""])


def _times(figure: Figure, value: float) -> float:
    """Return *value* in multiples of its target: 2 is twice as good."""
    if figure.least is not None:
        return value / figure.least
    assert figure.most is not None
    return figure.most / value if value > 0 else MAX_TIMES


def _at(times: float) -> float:
    return NAMES + (WIDTH - 170 - NAMES) * min(max(times, 0.0), MAX_TIMES) / MAX_TIMES
