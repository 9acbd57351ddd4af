"""The bench, small enough for every run of the suite."""

import json
from pathlib import Path

import pytest

from tests.bench.__main__ import Extent, measured
from tests.bench.figure import Figure, summary
from tests.bench.load import Work, WrongReplies, calls, is_installed
from tests.bench.methods import GET, request
from tests.bench.plot import drawn
from tests.conftest import tool
from tests.support.running import Running

SMALL = Extent(
    rounds=1,
    seconds=0.1,
    tenants=2,
    profiles=60,
    logins=2,
    starts=1,
    calls=800,
    settled=0.2,
    sizes=(800, 900),
    pinned=False,
)


@pytest.fixture
def h2load() -> None:
    if not is_installed():
        pytest.skip("h2load is not installed (on Debian: apt install nghttp2-client)")


@pytest.mark.timeout(240)
async def test_the_bench_runs(h2load: None, postgres_programs: Path, tmp_path: Path) -> None:
    """All figures are produced, from correct replies; their values are not judged here."""
    pds = tool("tests/pds/install")
    figures = await measured(SMALL, pds, postgres_programs, tmp_path)
    assert len([figure for figure in figures if figure.has_target]) == 23
    for figure in figures:
        assert figure.values
        assert figure.name in drawn(figures) or not figure.has_target
        assert json.dumps(figure.as_json())
    assert summary(figures).endswith("of 23 targets met")


async def test_rejected_calls_do_not_count(h2load: None, sandboxed: Running) -> None:
    """A server that rejects every call, with HTTP 200, is not measured."""
    key = await sandboxed.new_profile()
    refused = Work(GET, request(GET, key).SerializeToString(), 100, "no key")
    with pytest.raises(WrongReplies, match="0 bytes of"):
        await calls(sandboxed.address, [refused], 10)


def test_targets_apply_to_the_median() -> None:
    """One bad or one good round decides nothing."""
    good = Figure("good", "×", [0.1, 0.6, 0.7], least=0.55)
    bad = Figure("bad", "ms", [1, 6, 7], most=5)
    assert (good.is_met, bad.is_met) == (True, False)
    assert summary([good, bad, Figure("no target", "s", [1])]) == "bench: 1 of 2 targets met"
