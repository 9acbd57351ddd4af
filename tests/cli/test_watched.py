"""Watched: the started command, beside a real Prometheus, and beside a collector that hangs."""

import json
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.home import DEADLINE, Home

CONFIG = """\
global: {{scrape_interval: 1s}}
scrape_configs:
  - job_name: postcore
    static_configs: [{{targets: ["{target}"]}}]
"""


@pytest.fixture
def prometheus() -> str:
    """The path of Debian's Prometheus."""
    found = shutil.which("prometheus")
    if found is None:
        pytest.skip("prometheus is missing: apt install --no-install-recommends prometheus")
    return found


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


class Prometheus:
    """A running Prometheus."""

    def __init__(self, address: str) -> None:
        self._address = address

    def ask(self, path: str) -> Any:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"http://{self._address}/api/v1/{path}", timeout=DEADLINE) as answer:
            return json.load(answer)["data"]

    def until(self, path: str, is_there: Callable[[Any], bool]) -> Any:
        """Ask until the answer is as expected, and return it."""
        end = time.monotonic() + DEADLINE
        while True:
            try:
                answer: Any = self.ask(path)
            except OSError:
                answer = None  # it is starting
            if answer is not None and is_there(answer):
                return answer
            assert time.monotonic() < end, answer
            time.sleep(0.1)


@pytest.fixture
def scraping(prometheus: str, tmp_path: Path) -> Iterator[Callable[[str], Prometheus]]:
    """Start a Prometheus that scrapes an address."""
    started: list[subprocess.Popen[bytes]] = []

    def start(target: str) -> Prometheus:
        config = tmp_path / "prometheus.yml"
        config.write_text(CONFIG.format(target=target))
        address = f"127.0.0.1:{free_port()}"
        command = [
            prometheus,
            f"--config.file={config}",
            f"--storage.tsdb.path={tmp_path / 'series'}",
            f"--web.listen-address={address}",
        ]
        with (tmp_path / "prometheus.log").open("wb") as log:
            started.append(subprocess.Popen(command, stdout=log, stderr=log))
        return Prometheus(address)

    yield start
    for process in started:
        process.terminate()
        process.wait(DEADLINE)


@pytest.mark.process
def test_a_real_prometheus_reads_the_metrics(
    home: Home, scraping: Callable[[str], Prometheus]
) -> None:
    """It finds the target healthy, types and all, and answers queries about it."""
    with home.serve() as server:
        prometheus = scraping(server.admin)
        found = prometheus.until(
            "targets", lambda data: [t["health"] for t in data["activeTargets"]] == ["up"]
        )
        assert found["activeTargets"][0]["lastError"] == ""
        assert found["activeTargets"][0]["scrapeUrl"] == f"http://{server.admin}/metrics"
        [built] = prometheus.until("query?query=postcore_build_info", lambda d: d["result"])[
            "result"
        ]
        assert built["value"][1] == "1"
        types = prometheus.ask("metadata")
        assert types["grpc_server_handling_seconds"][0]["type"] == "histogram"
        assert types["postcore_monitor_lag_seconds"][0]["type"] == "gauge"
        query = "query?query=sum(grpc_server_started_total)"
        assert prometheus.ask(query)["result"][0]["value"][1] == "0"


@pytest.mark.process
def test_probes_show_a_drain(home: Home) -> None:
    """From the stop signal on /readyz fails with the reason, while /livez and scrapes go on."""
    with home.serve(DRAIN_PAUSE_SECONDS="30") as server:
        assert probe(server.admin, "readyz") == (200, "ok\n")
        server.process.send_signal(signal.SIGTERM)
        end = time.monotonic() + DEADLINE
        while probe(server.admin, "readyz")[0] == 200:
            assert time.monotonic() < end
            time.sleep(0.02)
        status, text = probe(server.admin, "readyz")
        assert (status, text.splitlines()[2]) == (503, "[-]drain in_progress")
        assert probe(server.admin, "livez") == (200, "ok\n")
        assert 'postcore_ready{dependency="drain"} 0.0' in probe(server.admin, "metrics")[1]


def probe(admin: str, path: str) -> tuple[int, str]:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://{admin}/{path}", timeout=DEADLINE) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@pytest.mark.process
def test_a_collector_that_hangs_does_not_hold_the_end(home: Home) -> None:
    """The process ends in a few seconds, with exit code 0, though nothing takes its spans."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        home.more = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
            "OTEL_BSP_SCHEDULE_DELAY": "10",
            "OTEL_EXPORTER_OTLP_TIMEOUT": "3600000",
        }
        with home.serve() as server:
            probed = urllib.request.Request(
                f"http://{server.http}/profiles", headers={"x-api-key": "wrong"}
            )
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with pytest.raises(urllib.error.HTTPError, match="401"):
                opener.open(probed, timeout=DEADLINE)
            silent.settimeout(DEADLINE)
            held, _ = silent.accept()  # the exporter waits for an answer from now on
            with held:
                assert server.end(signal.SIGTERM) == 0
