"""The image of deploy/Containerfile: what it holds, and the service in it."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from service import __version__
from service.app.sandbox import SANDBOX_TENANT
from service.cli.demo import METHOD, REQUEST
from service.crypto.keyring import create_keyring, new_keys
from tests.deploy.image import Container, Containers, Image
from tests.deploy.manifests import pods
from tests.support.postgres import Cluster

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

USER = 65532
SOCKETS = "/run/postgresql"
PLAIN_TEXT = {"POSTCORE_ALLOW_PLAINTEXT": "true"}
ADDRESS = "127.0.0.1:50051"
DATA, KEYRING = "/var/lib/postcore/data", "/var/lib/postcore/keyring"
REPLY = {"profileKey": "prof_abc123", "platform": "bluesky", "username": "user.bsky.social"}


@pytest.fixture
def containers(image: Image, tmp_path: Path) -> Containers:
    """With volumes as an engine makes them: owner and mode are those of the image's folders."""
    volumes = {}
    for inner in (DATA, KEYRING):
        volumes[inner] = tmp_path / Path(inner).name
        volumes[inner].mkdir(mode=0o700)
        os.chown(volumes[inner], USER, USER)
        status = (image.root / inner.removeprefix("/")).stat()
        assert (status.st_uid, status.st_gid, status.st_mode & 0o777) == (USER, USER, 0o700)
    containers = Containers(image, tmp_path, volumes, settings=PLAIN_TEXT)
    containers.run("keyring", "init")
    return containers


def stop(service: Container) -> None:
    """Send PID 1 the image's stop signal; it drains, and ends well."""
    os.kill(service.pid, getattr(signal, service.of.image.config["StopSignal"]))
    assert service.started.end() == 0
    assert "Traceback" not in service.started.errors


def test_the_main_job_of_make_run(containers: Containers, grpcurl: Path) -> None:
    """A connect in a container of the sandbox, which takes calls on loopback alone."""
    containers.settings = {
        **PLAIN_TEXT,
        "POSTCORE_DATABASE_URL": "sqlite:///data/sandbox.db",
        "POSTCORE_GRPC_ADDRESS": ADDRESS,
        "POSTCORE_HTTP_ADDRESS": "127.0.0.1:8080",
    }
    with containers.serve("serve", "--sandbox") as service:
        key = containers.run("api-keys", "create", "--tenant", SANDBOX_TENANT)
        called = ["-plaintext", "-expand-headers", "-H", "x-api-key: ${KEY}", "-d"]
        reply = service.beside(grpcurl, *called, json.dumps(REQUEST), ADDRESS, METHOD, KEY=key)
        assert json.loads(reply) == REPLY
        stop(service)


def test_a_container_has_no_more_than_it_needs(containers: Containers) -> None:
    """PID 1, with another user's id, no capability and no shell, that writes to volumes alone."""
    with containers.serve() as service:
        assert service.ready.startswith("ready grpc=0.0.0.0:50051 http=0.0.0.0:8080")
        assert service.status("NSpid").split()[1:] == ["1"]
        assert service.status("Uid") == service.status("Gid") == " ".join([str(USER)] * 4)
        assert service.status("CapEff") == service.status("CapBnd") == "0" * 16
        assert service.status("NoNewPrivs") == "1"
        assert service.status("Seccomp") == "2"
        assert service.probe() == "SERVING"
        stop(service)
    assert {path.name for path in containers.volumes[KEYRING].iterdir()} == {"keyring.json"}
    assert "postcore.db" in {path.name for path in containers.volumes[DATA].iterdir()}


@pytest.fixture
def postgres_by_socket(postgres_programs: Path) -> Iterator[tuple[Cluster, Path]]:
    """A PostgreSQL that a container reaches by a socket: it has a network of its own."""
    cluster = Cluster(postgres_programs)
    sockets = cluster.new_folder()
    cluster.set(unix_socket_directories=str(sockets))
    cluster.start()
    yield cluster, sockets
    cluster.remove()


def test_a_pod_writes_nowhere(
    image: Image, postgres_by_socket: tuple[Cluster, Path], tmp_path: Path
) -> None:
    """The variables of deploy/kubernetes on PostgreSQL: the migration, and the service without a
    volume. Its Secrets are files of root's that its group may read."""
    cluster, sockets = postgres_by_socket
    create_keyring(tmp_path / "keyring.json", new_keys("test"))
    password = urlsplit(cluster.url()).password
    (tmp_path / "url").write_text(
        f"postgresql://postcore:{password}@/postgres?host={SOCKETS}&port={cluster.port}\n"
    )
    for name in ("keyring.json", "url"):
        os.chown(tmp_path / name, 0, USER)
        (tmp_path / name).chmod(0o440)
    secrets = {
        "/run/secrets/keyring/keyring.json": tmp_path / "keyring.json",
        "/run/secrets/database/url": tmp_path / "url",
    }
    for name, command in (("postcore-migrate", "migrate"), ("postcore", "serve")):
        [container] = pods()[name]["containers"]
        assert container["args"] == [command]
        settings = {each["name"]: each["value"] for each in container["env"]}
        settings["POSTCORE_DRAIN_PAUSE_SECONDS"] = "0"  # the test need not wait
        inner = {SOCKETS: sockets}
        containers = Containers(image, tmp_path / name, secrets=secrets | inner, settings=settings)
        containers.home.mkdir()
        if command == "migrate":
            containers.run(command)
            continue
        with containers.serve(command) as service:
            assert service.probe() == "SERVING"
            stop(service)


def test_plain_text_is_not_taken_by_default(containers: Containers) -> None:
    """It listens for other machines: it starts with TLS, or where a setting says so."""
    containers.settings = {}
    assert containers.run("version") == __version__
    failed = containers.end("serve")
    assert failed.code == 1
    assert "set POSTCORE_TLS_CERT_FILE" in failed.err


def test_what_the_image_holds(image: Image) -> None:
    """The wheel and what it runs on, by hash; nothing that only the build needed."""
    [packages] = image.root.glob("opt/postcore/lib/python3.*/site-packages")
    held = {path.name.partition("-")[0] for path in packages.glob("*.dist-info")}
    assert "postcore_profiles" in held
    assert not held & {"pip", "setuptools", "wheel", "pytest"}
    assert not (image.root / "build").exists()
    assert not any((image.root / "var/lib/postcore").rglob("*.json"))
