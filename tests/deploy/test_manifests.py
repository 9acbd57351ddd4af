"""deploy/: what its files say fits the service and each other."""

import re
from configparser import RawConfigParser
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from service.platforms.egress.addresses import NOT_PUBLIC_V4, NOT_PUBLIC_V6, PUBLIC_V6
from service.settings import Settings
from tests.deploy.manifests import DEPLOY, documents, drain, pods, resource

MIN_MARGIN_SECONDS = 5
"""How much longer than the longest drain a process has until it is killed."""
[COMPOSE] = documents("compose.yaml")
CONTAINERFILE = (DEPLOY / "Containerfile").read_text()
PODS = pods()


def variables(container: dict[str, Any]) -> dict[str, str]:
    return {each["name"]: each["value"] for each in container["env"]}


def unit() -> dict[str, list[str]]:
    """The lines of the unit's section Service, by their names."""
    found: dict[str, list[str]] = {}
    section = (DEPLOY / "systemd/postcore.service").read_text().partition("[Service]\n")[2]
    for name, value in re.findall(r"^(\w+)=(.*)$", section, re.MULTILINE):
        found.setdefault(name, []).append(value)
    return found


def test_all_settings_are_known() -> None:
    """No file names a variable that the service would refuse."""
    known = {f"POSTCORE_{name.upper()}" for name in Settings.model_fields}
    known.add("POSTCORE_DATABASE_URL_FILE")
    files = [path for path in DEPLOY.rglob("*") if path.is_file() and path.suffix != ".json"]
    named = {
        name
        for path in files
        for line in path.read_text().splitlines()
        for name in re.findall(r"POSTCORE_[A-Z_]+", line.partition("#")[0])
    }
    assert len(named) >= 8
    assert named <= known


def test_a_drain_ends_before_a_process_is_killed() -> None:
    """Under Kubernetes, compose and systemd alike."""
    pod = PODS["postcore"]
    of_pod = drain(variables(pod["containers"][0]))
    assert pod["terminationGracePeriodSeconds"] >= of_pod + MIN_MARGIN_SECONDS
    service = COMPOSE["services"]["postcore"]
    of_compose = drain(service["environment"])
    assert int(service["stop_grace_period"].removesuffix("s")) >= of_compose + MIN_MARGIN_SECONDS
    [seconds] = unit()["TimeoutStopSec"]
    assert int(seconds) >= drain({}) + MIN_MARGIN_SECONDS


def test_a_pod_that_ends_is_left_before_it_refuses() -> None:
    """Its pause is longer than a readiness probe takes to be seen."""
    container = PODS["postcore"]["containers"][0]
    probe = container["readinessProbe"]
    pause = float(variables(container)["POSTCORE_DRAIN_PAUSE_SECONDS"])
    assert pause > probe["periodSeconds"] * probe["failureThreshold"]


def test_the_database_decides_no_restart() -> None:
    """Health checks report NOT_SERVING without a database; what restarts a pod asks for less."""
    container = PODS["postcore"]["containers"][0]
    assert container["readinessProbe"]["grpc"] == {"port": 50051}
    assert container["startupProbe"]["grpc"] == {"port": 50051}
    assert container["livenessProbe"]["httpGet"] == {"path": "/livez", "port": "admin"}


@pytest.mark.parametrize("name", PODS)
def test_pods_are_restricted(name: str) -> None:
    """As the standard `restricted`, with a root that is read-only and no key of the cluster."""
    pod = PODS[name]
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False
    user = int(re.findall(r"^USER (\d+):\1$", CONTAINERFILE, re.MULTILINE)[0])
    assert pod["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": user,
        "runAsGroup": user,
        "fsGroup": user,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    for container in pod["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert all(mount["readOnly"] for mount in container["volumeMounts"])
        assert container["resources"]["limits"]["memory"]


@pytest.mark.parametrize("name", PODS)
def test_secrets_are_files(name: str) -> None:
    """Each variable that names a file names one below a mounted Secret; none holds a secret."""
    pod = PODS[name]
    volumes = {volume["name"]: volume["secret"]["secretName"] for volume in pod["volumes"]}
    for container in pod["containers"]:
        mounts = {mount["mountPath"]: volumes[mount["name"]] for mount in container["volumeMounts"]}
        files = [value for key, value in variables(container).items() if key.endswith("_FILE")]
        assert {str(Path(file).parent) for file in files} == set(mounts)
        assert "POSTCORE_DATABASE_URL" not in variables(container)


def test_the_way_out_is_public() -> None:
    """The policy excludes the very addresses that the service refuses."""
    *_, public = resource("NetworkPolicy", "postcore-out")["spec"]["egress"]
    blocks = {
        each["ipBlock"]["cidr"]: set(map(ip_network, each["ipBlock"]["except"]))
        for each in public["to"]
    }
    assert blocks == {"0.0.0.0/0": set(NOT_PUBLIC_V4), str(PUBLIC_V6): set(NOT_PUBLIC_V6)}
    assert public["ports"] == [{"port": 443}]


def test_policies_and_budgets_select_what_is_deployed() -> None:
    """A selector that matches nothing protects nothing."""
    deployed = resource("Deployment", "postcore")["spec"]["template"]["metadata"]["labels"]
    migrates = resource("Job", "postcore-migrate")["spec"]["template"]["metadata"]["labels"]
    for name in ("postcore-in", "postcore-out"):
        policy = resource("NetworkPolicy", name)["spec"]["podSelector"]["matchLabels"]
        assert policy.items() <= deployed.items()
        assert policy.items() <= migrates.items()
    selectors = [
        resource("PodDisruptionBudget", "postcore")["spec"]["selector"]["matchLabels"],
        resource("Service", "postcore-grpc")["spec"]["selector"],
        resource("Service", "postcore-http")["spec"]["selector"],
    ]
    for selector in selectors:
        assert selector.items() <= deployed.items()
        assert not selector.items() <= migrates.items()


def test_compose_publishes_to_its_machine_alone() -> None:
    """Calls there are plain text, and Grafana's first password is one that a person chose."""
    ports = [port for service in COMPOSE["services"].values() for port in service.get("ports", ())]
    assert len(ports) >= 4
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_compose_keeps_the_service_in() -> None:
    """Each container of the image is read-only and has no capability."""
    ours = [each for each in COMPOSE["services"].values() if each["image"] == "postcore-profiles"]
    assert len(ours) == 3
    for service in ours:
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]


@pytest.mark.parametrize("kind", ["networks", "secrets", "volumes"])
def test_compose_names_what_it_has(kind: str) -> None:
    """Its schema does not ask whether a network, a secret or a volume is described."""
    used = {
        each.split(":")[0]
        for service in COMPOSE["services"].values()
        for each in service.get(kind, ())
        if not each.startswith(".")
    }
    assert used == COMPOSE[kind].keys()


def test_the_files_that_compose_mounts_are_there() -> None:
    """Those of this repository; secrets are made by whoever runs it."""
    sources = {
        volume.split(":")[0]
        for service in COMPOSE["services"].values()
        for volume in service.get("volumes", ())
        if volume.startswith(".")
    }
    assert sources
    assert all((DEPLOY / source).is_dir() for source in sources)


def test_the_containerfile_needs_no_shell() -> None:
    """Every command is a list, so that none is run by /bin/sh."""
    lines = re.findall(
        r"^(?:RUN|CMD|ENTRYPOINT|HEALTHCHECK .*CMD) (.*)$", CONTAINERFILE, re.MULTILINE
    )
    assert len(lines) >= 6
    assert all(line.startswith("[") for line in lines)


def test_the_unit_starts_as_the_image_does() -> None:
    """Signals wait until Python handles them, and its variables can be read as a configuration."""
    [start] = unit()["ExecStart"]
    assert start.startswith("/usr/bin/env --block-signal=TERM,INT,HUP ")
    parser = RawConfigParser(strict=False)
    parser.read(DEPLOY / "systemd/postcore.service")
    assert parser.sections() == ["Unit", "Service", "Install"]
