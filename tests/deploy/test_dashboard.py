"""deploy/grafana/postcore.json: its queries have series in a Prometheus that scrapes."""

import asyncio
import json
import re

import pytest

from service.runtime.metrics import Metrics
from tests.cli.conftest import empty_home, home
from tests.cli.home import Home
from tests.deploy.dashboard import FILE as DASHBOARD
from tests.deploy.dashboard import panels
from tests.deploy.picture import FILE
from tests.deploy.prometheus import RULES, Prometheus, program
from tests.deploy.traffic import serving_sandbox

__all__ = ["empty_home", "home"]

NOT_IN_THE_SANDBOX = {"Only on PostgreSQL.", "Only with TLS."}
"""Descriptions of panels whose queries test_prometheus.py asks of another service."""
CHECK_HOURS = "0.0005"
"""Two seconds: the monitor has something to do."""


@pytest.mark.process
async def test_every_query_returns_series(home: Home) -> None:
    """After a little of all traffic, each query of each panel has a number, in every series."""
    program("prometheus")  # skips before anything is started
    async with serving_sandbox(home, CHECK_HOURS=CHECK_HOURS) as shop:
        with Prometheus.scraping(home.folder / "prometheus", a=shop.server.admin) as prometheus:
            profile, _ = await shop.usual()
            await shop.budget_spent(6)
            asked = [
                query
                for panel in panels()
                if panel.description not in NOT_IN_THE_SANDBOX
                for query in panel.queries
            ]
            assert len(asked) > 30
            missing = set(asked)

            def all_answered() -> bool:
                missing.difference_update([each for each in missing if prometheus.values(each)])
                return not missing

            steady = asyncio.create_task(shop.steady(profile))
            await asyncio.to_thread(prometheus.until, all_answered, lambda: missing)
            steady.cancel()


def test_the_picture_is_of_today() -> None:
    """It has all panels; `python -m tests.deploy.picture` draws it again."""
    titles = [f">{panel.title}</text>" for panel in panels()]
    picture = FILE.read_text()
    assert [title for title in titles if title not in picture] == []
    assert picture.count("<g transform") == len(titles)


def test_every_metric_is_one_of_the_service() -> None:
    """Those that the alerts and the dashboard ask for, by name."""
    of_others = {"up", "process_start_time_seconds", "process_cpu_seconds_total"}
    of_others |= {"process_resident_memory_bytes", "process_open_fds", "process_max_fds"}
    asked = RULES.read_text() + "".join(query for panel in panels() for query in panel.queries)
    named = set(re.findall(r"\b(postcore_\w+|(?:grpc|http|process)_\w+(?=[{\[]))", asked))
    assert len(named) > 30
    defined = {
        f"{metric.name}{suffix}"
        for metric in Metrics().definitions
        for suffix in (("_bucket", "_count") if metric.kind == "histogram" else ("",))
    }
    assert named - defined - of_others == set()


def test_panels_do_not_overlap() -> None:
    """Each has a place of its own, and an id of its own."""
    taken = [
        (x, y)
        for panel in panels()
        for x in range(panel.x, panel.x + panel.width)
        for y in range(panel.y, panel.y + panel.height)
    ]
    assert len(taken) == len(set(taken))
    assert max(x for x, _ in taken) < 24
    ids = [each["id"] for each in json.loads(DASHBOARD.read_text())["panels"]]
    assert len(ids) == len(set(ids))
