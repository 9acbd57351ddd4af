"""Manifests: the files of deploy/ as their readers see them, and the settings that they give."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from service.settings import Settings

DEPLOY = Path(__file__).parents[2] / "deploy"
POD_ADDRESSES = {"GRPC_ADDRESS": "0.0.0.0:50051", "HTTP_ADDRESS": "0.0.0.0:8080"}


def documents(name: str) -> list[dict[str, Any]]:
    """Return the documents of a file in deploy/."""
    return [each for each in yaml.safe_load_all((DEPLOY / name).read_text()) if each]


def kubernetes() -> Iterator[tuple[Path, dict[str, Any]]]:
    """Each resource of deploy/kubernetes, without kustomize's own and patches."""
    for path in sorted(DEPLOY.glob("kubernetes/**/*.yaml")):
        if path.name != "kustomization.yaml" and path.parent.name != "tls":
            for each in documents(str(path.relative_to(DEPLOY))):
                yield path, each


def pods() -> dict[str, dict[str, Any]]:
    """The description of each pod, by the name of what starts it."""
    return {
        each["metadata"]["name"]: each["spec"]["template"]["spec"]
        for _, each in kubernetes()
        if each["kind"] in ("Deployment", "Job")
    }


def resource(kind: str, name: str) -> dict[str, Any]:
    [found] = [
        each for _, each in kubernetes() if (each["kind"], each["metadata"]["name"]) == (kind, name)
    ]
    return found


def given(environ: Mapping[str, str]) -> dict[str, str]:
    """Settings by name, from variables."""
    return {name.removeprefix("POSTCORE_"): value for name, value in environ.items()}


def drain(environ: Mapping[str, str]) -> float:
    """The longest drain, in seconds, of a service with these variables."""
    values = {name.lower(): value for name, value in given(environ).items()}
    known = {name: value for name, value in values.items() if name in Settings.model_fields}
    settings = Settings.model_validate(known)
    return settings.drain_pause_seconds + 2 * settings.drain_seconds
