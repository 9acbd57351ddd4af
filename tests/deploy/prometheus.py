"""Prometheus: Debian's, on loopback, which scrapes services and evaluates rules each second."""

import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import socket
from typing import Any

import httpx
import pytest

from tests.conftest import ROOT

RULES = ROOT / "deploy/prometheus/rules.yaml"
ALERTS = tuple(re.findall(r"^ +- alert: (\w+)$", RULES.read_text(), re.MULTILINE))
INTERVAL_SECONDS = 1
DEADLINE = 60.0
"""The maximum seconds of any wait: far more than it takes, for busy machines."""


def program(name: str) -> Path:
    """Return a program of Debian's package; skips the test without it."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed (on Debian: apt install prometheus)")
    return Path(found)


def hurried(rules: str) -> str:
    """Return *rules* with each `for` at zero: an alert fires as soon as its expression holds."""
    text, changed = re.subn(r"^( +for:) \w+$", r"\1 0s", rules, flags=re.MULTILINE)
    assert changed
    return text


class Prometheus:
    """A running Prometheus, asked by its HTTP API."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._client = httpx.Client(
            base_url=f"http://{address}/api/v1/", timeout=DEADLINE, trust_env=False
        )

    @classmethod
    @contextmanager
    def scraping(cls, folder: Path, **targets: str) -> Iterator["Prometheus"]:
        """Start one in *folder*. *targets*: the address to scrape, by the name of the instance."""
        shown = {"scrape_interval": f"{INTERVAL_SECONDS}s", "evaluation_interval": "1s"}
        folder.mkdir()
        (folder / "rules.yaml").write_text(hurried(RULES.read_text()))
        scraped = [
            {"targets": [address], "labels": {"instance": name}}
            for name, address in targets.items()
        ]
        config = {
            "global": shown,
            "rule_files": ["rules.yaml"],
            "scrape_configs": [{"job_name": "postcore", "static_configs": scraped}],
        }
        # JSON is YAML
        (folder / "prometheus.yaml").write_text(json.dumps(config))
        with socket() as free:
            free.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{free.getsockname()[1]}"
        with (folder / "errors").open("w") as errors:
            process = subprocess.Popen(
                [
                    program("prometheus"),
                    f"--config.file={folder / 'prometheus.yaml'}",
                    f"--storage.tsdb.path={folder / 'data'}",
                    f"--web.listen-address={address}",
                    "--log.level=warn",
                ],
                stdout=errors,
                stderr=errors,
                stdin=subprocess.DEVNULL,
            )
        prometheus = cls(address)
        try:
            prometheus.until(prometheus.is_ready, (folder / "errors").read_text)
            yield prometheus
        finally:
            prometheus._client.close()
            process.terminate()
            process.wait(DEADLINE)

    def is_ready(self) -> bool:
        try:
            answer = self._client.get(f"http://{self.address}/-/ready")
        except httpx.TransportError:
            return False
        return answer.status_code == 200

    @staticmethod
    def until(holds: Callable[[], object], why: Callable[[], object]) -> None:
        """Wait until *holds* returns true; after DEADLINE, fail with what *why* returns."""
        end = time.monotonic() + DEADLINE
        while not holds():
            assert time.monotonic() < end, why()
            time.sleep(0.1)

    def ask(self, path: str, **parameters: object) -> Any:
        """Return `data` of an answer of the API; fails with its error."""
        answer = self._client.get(path, params={k: str(v) for k, v in parameters.items()}).json()
        assert answer["status"] == "success", answer
        return answer["data"]

    def values(self, query: str) -> dict[str, float]:
        """Return the values of an instant query that are numbers, by the labels as JSON."""
        return {
            json.dumps(series["metric"], sort_keys=True): float(series["value"][1])
            for series in self.ask("query", query=query)["result"]
            if series["value"][1] != "NaN"
        }

    def ranges(self, query: str, seconds: float) -> list[tuple[dict[str, str], list[list[Any]]]]:
        """Return the series of a query over the last *seconds*, with their times and values."""
        now = time.time()
        result = self.ask("query_range", query=query, start=now - seconds, end=now, step=1)
        return [(series["metric"], series["values"]) for series in result["result"]]

    def firing(self) -> dict[str, str]:
        """Return the summaries of the alerts that fire now, by name."""
        return {
            alert["labels"]["alertname"]: alert["annotations"]["summary"]
            for alert in self.ask("alerts")["alerts"]
            if alert["state"] == "firing"
        }

    def is_scraping(self) -> bool:
        """Whether every target has answered."""
        return set(self.targets().values()) == {"up"}

    def targets(self) -> dict[str, str]:
        """Return the health of each target by its instance: `up`, `down` or `unknown`."""
        return {
            target["labels"]["instance"]: target["health"]
            for target in self.ask("targets")["activeTargets"]
        }
