"""The arrows between the parts: who may import what."""

import ast
from collections.abc import Iterator
from pathlib import Path

SERVICE = Path(__file__).parent.parent / "service"
# each part, and the parts of ours that it may import besides itself
MAY_IMPORT = {
    "__init__": set(),
    "__main__": {"cli"},
    "cli": {"access", "app", "crypto", "domain", "runtime", "sandbox", "settings", "storage"},
    "app": {"access", "connections", "crypto", "domain", "events", "platforms", "profiles"}
    | {"runtime", "sandbox", "settings", "storage", "transport"},
    "transport": {"access", "connections", "domain", "events", "profiles", "runtime"},
    "profiles": {"access", "connections", "crypto", "domain", "runtime"},
    "connections": {"access", "crypto", "domain", "platforms", "runtime"},
    "events": {"crypto", "domain"},
    "access": {"crypto", "domain", "runtime"},
    "crypto": {"domain"},
    "platforms": {"domain", "runtime"},
    "storage": {"domain", "runtime"},
    "settings": {"storage"},
    "runtime": set(),
    "domain": set(),
    "sandbox": set(),
}
# each library, and the parts that alone may import it
ONLY = {
    "grpc": {"transport", "cli"},
    "grpc_health": {"transport", "cli"},
    "grpc_reflection": {"transport"},
    "grpc_status": {"transport"},
    "postcore": {"transport", "cli"},
    "google": {"transport"},
    "starlette": {"transport", "sandbox"},
    "uvicorn": {"sandbox"},
    "h11": {"transport"},
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
}


# the settings, and what hands the environment on to a child
MAY_READ_ENVIRONMENT = {
    "settings.py",
    "cli/main.py",
    "cli/demo.py",
    "storage/postgres_url.py",
    "storage/migrations/__init__.py",
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


def test_arrows_point_down() -> None:
    """Each part imports only what stands below it; nothing imports app but the command line."""
    for part, file, module in imports():
        if not module.startswith("service."):
            continue
        allowed = MAY_IMPORT[part]
        inner = module.removeprefix("service.")
        target = inner.split(".")[0]
        if target == part or inner == "__version__":
            continue
        assert target in allowed, f"{file} imports {module}"


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
