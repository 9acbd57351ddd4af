"""Picture: draws docs/dashboard.svg, the panels of the dashboard, from a Prometheus' answers.

    python -m tests.deploy.picture

runs a sandbox for a minute, with calls of all kinds, then with a site that fails and a login budget
that is spent. Needs Debian's Prometheus.
"""

import asyncio
import re
import tempfile
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from tests.cli.home import Home
from tests.conftest import ROOT
from tests.deploy.dashboard import Panel, panels
from tests.deploy.prometheus import Prometheus
from tests.deploy.traffic import serving_sandbox

FILE = ROOT / "docs/dashboard.svg"
SECONDS = 60.0
WINDOW = "15s"
"""Of each rate."""
COLUMN, ROW, TOP, GAP = 52, 30, 56, 6
MAX_LEGENDS = 6
INK, PALE, GREY = "#24292f", "#eaeef2", "#57606a"
GOOD, BAD = "#1a7f5a", "#c2452d"
COLOURS = ("#0969da", "#c2452d", "#1a7f5a", "#9a6700", "#8250df", "#bf3989", "#57606a", "#116329")
Series = tuple[str, Sequence[tuple[float, float]]]
"""The text of a legend, and times with values."""


def answers(prometheus: Prometheus, panel: Panel, end: float) -> list[Series]:
    """Return the series of a panel over the last SECONDS, without values that are no number."""
    found: list[Series] = []
    for query, legend in panel.legends:
        for labels, points in prometheus.ranges(query.replace("[1m]", f"[{WINDOW}]"), SECONDS):
            numbers = [(at - end, float(value)) for at, value in points if value != "NaN"]
            if numbers:
                found.append((_legend(legend, labels), numbers))
    return found


def _legend(text: str, labels: Mapping[str, str]) -> str:
    for name, value in labels.items():
        text = text.replace(f"{{{{{name}}}}}", value)
    return re.sub(r" *{{\w+}}", "", text)  # an empty label


def drawn(shown: Sequence[tuple[Panel, Sequence[Series]]]) -> str:
    """Draw all panels with their series, where the dashboard has them."""
    height = TOP + ROW * max(panel.y + panel.height for panel, _ in shown) + GAP
    width = 24 * COLUMN + 2 * GAP
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="11" fill="{INK}">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        f'<text x="{2 * GAP}" y="26" font-size="16" font-weight="bold">postcore profiles</text>',
        f'<text x="{2 * GAP}" y="44" fill="{GREY}">a sandbox for {SECONDS:.0f} s, scraped each '
        f"second; rates over {WINDOW}</text>",
    ]
    question = ""
    for panel, series in shown:
        if panel.question != question:
            question, y = panel.question, TOP + ROW * panel.y - 10
            parts.append(
                f'<text x="{2 * GAP}" y="{y}" font-size="13" font-weight="bold">'
                f"{escape(question, quote=False)}</text>"
            )
        parts += _panel(panel, series)
    return "\n".join([*parts, "</svg>", ""])


def _panel(panel: Panel, series: Sequence[Series]) -> list[str]:
    x, y = GAP + COLUMN * panel.x + GAP / 2, TOP + ROW * panel.y
    width, height = COLUMN * panel.width - GAP, ROW * panel.height - GAP
    parts = [
        f'<g transform="translate({x:.0f} {y})">',
        f'<rect width="{width}" height="{height}" rx="4" fill="none" stroke="#d0d7de"/>',
        f'<text x="8" y="16" font-weight="bold">{escape(panel.title, quote=False)}</text>',
    ]
    if not series:
        note = panel.description or "no data"
        parts.append(f'<text x="8" y="40" fill="{GREY}">{escape(note, quote=False)}</text>')
    elif panel.kind == "stat":
        parts += _numbers(panel, series)
    else:
        parts += _lines(panel, series, width, height)
    return [*parts, "</g>"]


def _numbers(panel: Panel, series: Sequence[Series]) -> list[str]:
    parts = []
    for number, (name, points) in enumerate(series):
        value, y = points[-1][1], 40 + 18 * number
        text, colour = panel.words.get(f"{value:g}", _text(value, panel.unit)), INK
        if panel.words:
            colour = GOOD if value else BAD
        elif name == "alerts":
            colour = BAD if value else GOOD
        parts.append(
            f'<text x="8" y="{y}">{escape(name)}</text><text x="110" y="{y}" font-size="14" '
            f'font-weight="bold" fill="{colour}">{text}</text>'
        )
    return parts


def _lines(panel: Panel, series: Sequence[Series], width: int, height: int) -> list[str]:
    # those with the highest values have a legend
    ordered = sorted(series, key=lambda each: -max(value for _, value in each[1]))
    left, top = 52, 26
    legend_rows = min(len(ordered), MAX_LEGENDS + 1)
    bottom = height - 12 - 13 * ((legend_rows + 1) // 2)
    most = max(max(value for _, value in points) for _, points in ordered) or 1.0

    def place(at: float, value: float) -> str:
        x = left + (width - left - 8) * (1 + at / SECONDS)
        return f"{x:.1f},{bottom - (bottom - top) * value / most:.1f}"

    parts = []
    for part in (0.0, 0.5, 1.0):
        y = bottom - (bottom - top) * part
        parts.append(
            f'<line x1="{left}" x2="{width - 8}" y1="{y:.1f}" y2="{y:.1f}" stroke="{PALE}"/>'
            f'<text x="{left - 4}" y="{y + 4:.1f}" text-anchor="end" fill="{GREY}">'
            f"{_text(most * part, panel.unit)}</text>"
        )
    for number, (name, points) in enumerate(ordered):
        colour = COLOURS[number % len(COLOURS)]
        line = " ".join(place(at, value) for at, value in points)
        parts.append(
            f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
        )
        if number < MAX_LEGENDS:
            text = escape(name or "all", quote=False)
        elif number == MAX_LEGENDS:
            text, colour = f"and {len(ordered) - MAX_LEGENDS} more", GREY
        else:
            continue
        at, down = 8 + (number % 2) * (width - 16) // 2, bottom + 15 + 13 * (number // 2)
        parts.append(
            f'<text x="{at}" y="{down}" fill="{colour}">{_shortened(text, width // 2)}</text>'
        )
    return parts


def _shortened(text: str, width: int) -> str:
    most = width // 6
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _text(value: float, unit: str) -> str:
    if unit == "percentunit":
        return f"{100 * value:.3g} %"
    if unit == "bytes":
        return f"{value / 2**20:.0f} MiB"
    if unit == "s":
        if value >= 120:
            return f"{value / 60:.0f} min"
        return f"{value:.3g} s" if value >= 1 or not value else f"{1000 * value:.3g} ms"
    return f"{value:.3g}" + ("/s" if unit in ("reqps", "ops") else "")


async def show(folder: Path) -> list[tuple[Panel, list[Series]]]:
    """Return all panels with the series of a minute."""
    home = Home(folder)
    home.keyring.parent.mkdir(0o700)
    assert home.run("keyring", "init").code == 0
    assert home.run("migrate").code == 0
    async with serving_sandbox(home, CHECK_HOURS="0.001") as shop:
        with Prometheus.scraping(folder / "prometheus", sandbox=shop.server.admin) as prometheus:
            profile, _ = await shop.usual()
            steady = asyncio.create_task(shop.steady(profile))
            await asyncio.sleep(SECONDS / 2)
            await shop.failing("ghost", 1)
            await shop.budget_spent(6)
            await asyncio.sleep(SECONDS / 4)
            await shop.failing("ghost", 20)
            await shop.budget_spent(10)
            await asyncio.sleep(SECONDS / 4)
            steady.cancel()
            end: Any = prometheus.ask("query", query="time()")["result"][0]
            return [(panel, answers(prometheus, panel, end)) for panel in panels()]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        FILE.write_text(drawn(asyncio.run(show(Path(name)))))
