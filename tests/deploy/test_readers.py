"""deploy/: what the programs and the published schemas say that its files are for."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.deploy.manifests import DEPLOY, documents
from tests.docs.page import Page

UNIT = DEPLOY / "systemd/postcore.service"
MAX_EXPOSURE = 2.0
"""Of systemd's scale from 0 to 10; its word for up to 4 is OK."""


def ask(*command: str | Path, given: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=DEPLOY, input=given, capture_output=True, text=True, timeout=60, check=False
    )


def built(tools: Path, folder: str) -> str:
    done = ask(tools / "bin/kustomize", "build", DEPLOY / "kubernetes" / folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


def validated(tools: Path, file: Path) -> subprocess.CompletedProcess[str]:
    return ask(tools / "schemas/bin/kubernetes-validate", "--strict", file)


@pytest.mark.parametrize("folder", ["base", "tls"])
def test_kubernetes_schemas_accept_what_is_applied(
    deploy_tools: Path, tmp_path: Path, folder: str
) -> None:
    """Every resource, strictly: a field that no schema names is an error."""
    text = built(deploy_tools, folder)
    file = tmp_path / "applied.yaml"
    file.write_text(text)
    done = validated(deploy_tools, file)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (done.stdout + done.stderr).count(" passed ") == text.count("\nkind: ")
    file.write_text(text.replace("terminationGracePeriodSeconds", "terminationGraceSeconds"))
    assert validated(deploy_tools, file).returncode != 0


def test_kubernetes_schemas_accept_the_migration(deploy_tools: Path) -> None:
    """The job is applied by itself."""
    done = validated(deploy_tools, DEPLOY / "kubernetes/migrate.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_with_tls_no_probe_speaks_plain_text(deploy_tools: Path) -> None:
    """The cluster's gRPC probes know no TLS: the patch has replaced all of them."""
    text = built(deploy_tools, "tls")
    assert "grpc: " not in re.sub(r"name: grpc|targetPort: grpc|appProtocol: grpc", "", text)
    assert text.count("path: /readyz") == 2
    assert text.count("path: /livez") == 1
    assert re.search(r'POSTCORE_ALLOW_PLAINTEXT\n +value: "false"', text)


def test_the_compose_specification_accepts_the_file(deploy_tools: Path, tmp_path: Path) -> None:
    """Its own reader, which knows the schema."""
    reader = deploy_tools / "bin/compose-spec"
    done = ask(reader, "--format", "json", DEPLOY / "compose.yaml")
    assert done.returncode == 0, done.stderr
    services = json.loads(done.stdout)["services"]
    assert services.keys() >= {"postcore", "migrate", "postgres", "prometheus", "grafana"}
    for before, after in (
        ("stop_grace_period", "stop_grace"),
        ("read_only: true", "read_only: often"),
    ):
        wrong = tmp_path / "compose.yaml"
        wrong.write_text((DEPLOY / "compose.yaml").read_text().replace(before, after))
        assert ask(reader, wrong).returncode != 0, after


def test_prometheus_accepts_its_configuration(deploy_tools: Path) -> None:
    """By promtool; compose says where the service's metrics are."""
    done = ask("promtool", "check", "config", DEPLOY / "prometheus/prometheus.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    [scrape] = documents("prometheus/prometheus.yaml")[0]["scrape_configs"]
    service = documents("compose.yaml")[0]["services"]["postcore"]
    port = service["environment"]["POSTCORE_ADMIN_ADDRESS"].rpartition(":")[2]
    assert scrape["static_configs"] == [{"targets": [f"postcore:{port}"]}]


def test_systemd_accepts_the_unit(deploy_tools: Path) -> None:
    """Without a word: an unknown line would be named."""
    done = ask("systemd-analyze", "verify", "--man=no", UNIT)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_units_exposure_is_what_the_page_says(deploy_tools: Path) -> None:
    """By `systemd-analyze security`: OK, and the page's score."""
    done = ask("systemd-analyze", "security", "--offline=true", "--no-pager", UNIT)
    [(score, word)] = re.findall(r"Overall exposure level for \S+: ([0-9.]+) (\w+)", done.stdout)
    assert word == "OK"
    assert float(score) <= MAX_EXPOSURE
    assert f"**{score} OK**" in Page.read("docs/deployment.md").text
