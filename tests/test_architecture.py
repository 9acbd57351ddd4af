"""The arrows between the parts: who may import what."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from service.platforms.registry import ADAPTERS

SERVICE = Path(__file__).parent.parent / "service"
PAGE = SERVICE.parent / "ARCHITECTURE.md"
PICTURE = re.compile(r"^```rooms\n.+\n((?:.+\n)+)```$", re.MULTILINE)
MAX_ROOMS, MAX_ARROWS = 16, 50
# each library, and the parts that alone may import it
ONLY = {
    "grpc": {"transport", "cli"},
    "grpc_health": {"transport", "cli"},
    "grpc_reflection": {"transport"},
    "grpc_status": {"transport", "cli"},
    "postcore": {"transport", "cli"},
    "google": {"transport", "cli"},
    "jinja2": {"transport"},
    "starlette": {"transport", "sandbox"},
    "uvicorn": {"sandbox"},
    "h11": {"transport"},
    "standardwebhooks": {"events"},
    "atproto_client": {"platforms", "sandbox"},
    "httpx": {"platforms", "sandbox"},
    "httpcore": {"platforms", "sandbox"},
    "dns": {"platforms"},
    "aiosqlite": {"storage"},
    "asyncpg": {"storage"},
    "sqlite3": {"storage"},
    "alembic": {"storage"},
    "sqlalchemy": {"storage"},
    "cryptography": {"crypto", "transport"},
    "click": {"cli", "sandbox"},
    "pydantic": {"settings"},
    "orjson": {"runtime", "crypto"},
    "prometheus_client": {"runtime"},
    "opentelemetry": {"runtime", "app", "transport", "platforms"},
}


# the settings, and what hands the environment on to a child
MAY_READ_ENVIRONMENT = {
    "settings.py",
    "cli/main.py",
    "cli/demo.py",
    "cli/client_service.py",
    "storage/postgres_url.py",
    "storage/migrations/__init__.py",
}
# what registers a platform, sets its directory, or shows a call
MAY_NAME_PLATFORMS = {
    "settings.py",
    "app/diagnosis.py",
    "cli/main.py",
    "cli/demo.py",
    "platforms/registry.py",
}


def imports() -> Iterator[tuple[str, Path, str]]:
    """(part, file, module imported), late imports and `from … import` included."""
    for file in sorted(SERVICE.rglob("*.py")):
        part = file.relative_to(SERVICE).with_suffix("").parts[0]
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                for name in node.names:
                    yield part, file, name.name
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{file}: imports are absolute"
                assert node.module
                if node.module == "service":
                    for name in node.names:
                        yield part, file, f"service.{name.name}"
                else:
                    yield part, file, node.module


def real_arrows() -> dict[str, set[str]]:
    """Each room, and the rooms that its files import."""
    arrows: dict[str, set[str]] = {}
    for room, _, module in imports():
        arrows.setdefault(room, set())
        if module.startswith("service.") and module != "service.__version__":
            arrows[room] |= {module.split(".")[1]} - {room}
    return arrows


def picture() -> dict[str, tuple[int, set[str]]]:
    """Each room of the picture in ARCHITECTURE.md: its floor, and the rooms that it imports."""
    [lines] = PICTURE.findall(PAGE.read_text())
    rows = [line.split() for line in lines.splitlines()]
    assert len({room for _, room, *_ in rows}) == len(rows), "a room stands twice in the picture"
    return {room: (int(floor), set(below)) for floor, room, *below in rows}


def test_the_picture_shows_the_real_arrows() -> None:
    """ARCHITECTURE.md lists each room with exactly the rooms that it imports."""
    real = real_arrows()
    assert real.pop("__main__") == {"cli"}
    assert real.pop("__init__", set()) == set()
    assert {room: below for room, (_, below) in picture().items()} == real


def test_arrows_point_down() -> None:
    """A room imports rooms on lower floors only, so that there is no circle; the highest stand
    first, and each room stands as low as its imports allow."""
    floors = {room: floor for room, (floor, _) in picture().items()}
    assert list(floors.values()) == sorted(floors.values(), reverse=True)
    for room, (floor, below) in picture().items():
        assert floor == max((floors[other] + 1 for other in below), default=0), room


def test_the_picture_stays_small() -> None:
    """A reader can keep it in mind."""
    assert len(picture()) <= MAX_ROOMS
    assert sum(len(below) for _, below in picture().values()) <= MAX_ARROWS


def test_libraries_stay_where_they_belong() -> None:
    """A driver, a framework or an SDK is known to one part alone."""
    for part, file, module in imports():
        library = module.split(".")[0]
        if library in ONLY:
            assert part in ONLY[library], f"{file} imports {module}"


def test_the_environment_is_read_in_one_place() -> None:
    """os.environ is for config, and for what hands it on."""
    for file in SERVICE.rglob("*.py"):
        if "environ" in file.read_text():
            assert file.relative_to(SERVICE).as_posix() in MAY_READ_ENVIRONMENT, file


def test_a_platform_is_named_in_its_own_place_alone() -> None:
    """Outside its folder and the sandbox, only in what registers, sets or demonstrates it."""
    platforms = [adapter.card.platform for adapter in ADAPTERS]  # type: ignore[attr-defined]
    names = re.compile(f"(?<![a-z])({'|'.join([*platforms, 'atproto'])})", re.IGNORECASE)
    places = {("platforms", platform) for platform in platforms}
    for file in SERVICE.rglob("*.py"):
        where = file.relative_to(SERVICE)
        if where.parts[0] == "sandbox" or where.parts[:2] in places:
            continue
        if names.search(file.read_text()):
            assert where.as_posix() in MAY_NAME_PLATFORMS, file
