"""deploy/prometheus/: promtool accepts the rules, and each alert fires in a real Prometheus."""

import asyncio
import re
import shutil
import signal
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from service.app.sandbox import SANDBOX_TENANT
from service.crypto.keyring import Wrap, create_keyring, new_keys
from service.domain.clock import SystemClock
from service.domain.model import SECOND
from tests.cli.conftest import empty_home, home
from tests.cli.home import Home
from tests.conftest import ROOT
from tests.deploy.dashboard import panels
from tests.deploy.prometheus import ALERTS, RULES, Prometheus, program
from tests.deploy.test_dashboard import NOT_IN_THE_SANDBOX
from tests.deploy.traffic import Shop, plant, serving_sandbox
from tests.support.authority import Authority
from tests.support.engines import rows
from tests.support.postgres import Cluster

__all__ = ["empty_home", "home"]

OF_A_BUSY_MACHINE = {"PostcoreDown", "PostcoreEventLoopLate"}
"""May fire for a moment where the machine is slow."""
BY_SETUP = {"PostcoreCertificateEndsSoon", "PostcoreCertificateEnds", "PostcoreKeyNearBound"}
"""Fire from the start: the second service has such a certificate and such a key."""
LATE = 30
"""Connections whose check has been due for an hour."""


@pytest.mark.process
def test_promtool_accepts_the_rules() -> None:
    """Their syntax and their templates."""
    subprocess.run([program("promtool"), "check", "rules", RULES], check=True)


@pytest.mark.process
def test_promtool_accepts_the_configuration_of_the_page(tmp_path: Path) -> None:
    """What docs/alerts.md shows, with the rules beside it."""
    page = (ROOT / "docs/alerts.md").read_text()
    [shown] = re.findall(r"^```yaml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    config = tmp_path / "prometheus.yaml"
    config.write_text(shown)
    shutil.copy(RULES, tmp_path)
    subprocess.run([program("promtool"), "check", "config", config], check=True)


@pytest.mark.process
def test_promtool_runs_the_unit_tests() -> None:
    """Every alert has one in which it fires, and one in which it does not."""
    file = RULES.with_name("tests.yaml")
    subprocess.run([program("promtool"), "test", "rules", file], check=True)
    text = file.read_text()
    for alert in ALERTS:
        assert re.search(rf"alertname: {alert}\n +exp_alerts:\n", text), f"{alert} never fires"
        assert re.search(rf"alertname: {alert}(}}|\n(?! +exp_alerts))", text), f"{alert} always"


def test_each_alert_has_a_section_of_the_runbook() -> None:
    """With its name, and the annotation leads there."""
    page = (ROOT / "docs/alerts.md").read_text()
    assert tuple(re.findall(r"^### (\w+)$", page, re.MULTILINE)) == ALERTS
    anchors = re.findall(r"^ +runbook: docs/alerts.md#(\w+)$", RULES.read_text(), re.MULTILINE)
    assert anchors == [alert.lower() for alert in ALERTS]


class Watcher:
    """Waits for what a Prometheus shows, while the event loop runs."""

    def __init__(self, prometheus: Prometheus) -> None:
        self._prometheus = prometheus
        self.fired: dict[str, str] = {}
        """The summaries of all alerts that have fired, by name."""

    async def until(self, holds: Callable[[], object]) -> None:
        await asyncio.to_thread(self._prometheus.until, holds, lambda: self.fired)

    async def sees(self, query: str) -> None:
        """Wait until *query* has a number: what happens from then on has a rate."""
        await self.until(lambda: self._prometheus.values(query))

    def look(self) -> None:
        self.fired.update(self._prometheus.firing())

    async def fires(self, *alerts: str) -> None:
        """Wait until each of *alerts* has fired."""

        def fired() -> bool:
            self.look()
            return self.fired.keys() >= set(alerts)

        await self.until(fired)


@pytest.mark.process
async def test_each_alert_fires(
    home: Home, postgres: Cluster, postgres_url: str, tmp_path: Path
) -> None:
    """None of the sandbox on a good day; each, once what it is for has happened."""
    program("prometheus")  # skips before anything is started
    other, settings = on_postgres(tmp_path, postgres_url)
    async with serving_sandbox(home, CHECKS_PER_SECOND="0.1") as shop:
        with (
            other.serve(**settings) as second,
            Prometheus.scraping(
                tmp_path / "prometheus", sandbox=shop.server.admin, second=second.admin
            ) as prometheus,
        ):
            watcher = Watcher(prometheus)
            await watcher.until(prometheus.is_scraping)
            profiles = await shop.usual()
            await watcher.fires(*BY_SETUP)
            assert watcher.fired.keys() - OF_A_BUSY_MACHINE == BY_SETUP
            for panel in panels():
                if panel.description in NOT_IN_THE_SANDBOX:
                    assert all(map(prometheus.values, panel.queries)), panel.title

            other.keyring.write_text("{")
            await close(postgres, postgres_url.rpartition("/")[2])
            tamper(home, *profiles)
            await provoke(shop, watcher, *profiles)
            while "PostcoreEventLoopLate" not in watcher.fired:
                shop.server.process.send_signal(signal.SIGSTOP)
                await asyncio.sleep(0.5)
                shop.server.process.send_signal(signal.SIGCONT)
                await asyncio.sleep(0.5)
                watcher.look()
            await watcher.fires(*set(ALERTS) - {"PostcoreDown"})
            assert second.end(signal.SIGTERM) == 0
            await watcher.until(lambda: prometheus.targets()["second"] == "down")
            await watcher.fires("PostcoreDown")
            assert watcher.fired.keys() == set(ALERTS)
            # what Grafana marks on the panels, and what it offers to choose from
            assert prometheus.values('ALERTS{alertname=~"Postcore.+", alertstate="firing"}')
            chosen = {"match[]": "postcore_build_info"}
            assert prometheus.ask("label/instance/values", **chosen) == ["sandbox", "second"]


def on_postgres(folder: Path, database_url: str) -> tuple[Home, dict[str, str]]:
    """Return a home with a key of an old version, and settings with a certificate of an hour."""
    home = Home(folder / "second")
    keys = [replace(key, wrap=Wrap.DIRECT) for key in new_keys("2026-01-02T03:04:05+00:00")]
    create_keyring(home.keyring, keys)
    certificate, key = Authority(folder).issue("server")
    files = {"TLS_CERT_FILE": str(certificate), "TLS_KEY_FILE": str(key)}
    return home, {"DATABASE_URL": database_url, **files}


async def close(cluster: Cluster, name: str) -> None:
    """End all connections to a database, and let it take no other."""
    await cluster.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    await cluster.execute(
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
    )


def tamper(home: Home, cut: str, renamed: str) -> None:
    """Edit the secrets of two profiles, have checks of LATE others due for an hour, and have an
    event wait as long."""
    url = home.settings().database_url
    for table in ("sessions", "credentials"):
        rows(url, f"UPDATE {table} SET envelope = ? WHERE profile_key = ?", b"\1", cut)
        rows(url, f"UPDATE {table} SET ring_key_id = 'gone' WHERE profile_key = ?", renamed)
    hour_ago = SystemClock().now() - 3600 * SECOND
    plant(home.settings(), hour_ago, *(f"prof_late{number}" for number in range(LATE)))
    # a webhook that somebody has claimed, and does not send to
    rows(url, "UPDATE events SET occurred_at = ? WHERE number = 1", hour_ago)
    rows(
        url,
        "INSERT INTO webhooks (webhook_id, tenant_id, url, event_types, created_at, position,"
        " claimed_until) VALUES ('wh_late', ?, 'https://hooks.invalid', '', 0, 0, ?)",
        *(SANDBOX_TENANT, SystemClock().now() + 59 * SECOND),
    )


async def provoke(shop: Shop, watcher: Watcher, cut: str, renamed: str) -> None:
    """Make the calls that each alert is for."""
    assert (await shop.client.lease_refused(renamed)).reason == "INTERNAL"
    assert (await shop.client.lease_refused(cut)).reason == "NEEDS_RECONNECT"
    await shop.budget_spent(6)
    await shop.failing("ghost", 1)
    await watcher.sees("postcore_login_budget_refusals_total")
    await watcher.sees('postcore_platform_calls_total{platform="ghost", outcome="unavailable"}')
    await watcher.sees('postcore_refusals_total{reason="INVALID_API_KEY"}')
    await shop.budget_spent(15)
    await shop.failing("ghost", 15)
    await shop.refused(100)
