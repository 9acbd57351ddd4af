"""The arrows between the parts: who may import what."""

import ast
from collections.abc import Iterator
from pathlib import Path

SERVICE = Path(__file__).parent.parent / "service"
# each part, and the parts of ours that it may import besides itself
STORED = {"errors", "model", "records"}
MAY_IMPORT = {
    "__init__": set(),
    "__main__": {"stop_signals"},
    "stop_signals": {"cli"},
    "standard_streams": set(),
    "cli": {"*"},
    "command": {"*"},
    "keyring": {"*"},
    "tenancy": {"*"},
    "demo": {"*"},
    "doctor": {"*"},
    "app": {"*"},
    "opening": STORED
    | {"canary", "config", "limits", "platforms", "ports", "ring", "storage", "vault"}
    | {"transport.certificates"},
    "playground": {"config", "model", "opening", "ports", "sandbox", "storage.store"},
    "model": set(),
    "records": {"model"},
    "errors": {"model"},
    "config": {"postgres_url"},
    "postgres_url": set(),
    "log": set(),
    "core_dumps": set(),
    "children": set(),
    "tasks": set(),
    "turns": set(),
    "steps": {"errors", "model"},
    "ports": STORED,
    "ring": STORED,
    "rotation": {"ring"},
    "canary": STORED | {"ports", "ring", "vault"},
    "rewrap": STORED | {"canary", "ports", "ring", "vault"},
    "vault": STORED | {"ring"},
    "tokens": STORED | {"ring", "vault"},
    "descriptors": {"config", "platforms.egress"},
    "access": STORED | {"ports", "ring", "turns"},
    "buckets": set(),
    "lookups": STORED | {"buckets"},
    "limits": STORED | {"buckets", "ports"},
    "idempotency": STORED | {"access", "ports", "tasks", "tokens"},
    "logouts": STORED | {"platforms.registry", "ports", "ring", "tasks", "vault"},
    "readiness": STORED | {"ports"},
    "profiles": STORED | {"access", "idempotency", "logouts", "ports", "tasks", "tokens"},
    "schedule": STORED,
    "logins": STORED | {"limits", "ports"},
    "connect": STORED
    | {
        "access",
        "idempotency",
        "logins",
        "logouts",
        "platforms.registry",
        "ports",
        "profiles",
        "schedule",
    }
    | {"limits", "lookups", "steps", "tasks", "vault"},
    "sessions": STORED | {"logouts", "platforms.registry", "ports", "steps", "vault"},
    "verdict": STORED | {"logins", "ports", "schedule", "sessions", "steps", "vault"},
    "failures": STORED,
    "health": STORED
    | {
        "failures",
        "limits",
        "logins",
        "lookups",
        "ports",
        "schedule",
        "sessions",
        "tasks",
        "vault",
        "verdict",
    },
    "audit": STORED | {"log", "ports"},
    "leases": STORED | {"audit", "health", "ports", "profiles", "sessions", "steps", "vault"},
    "monitor": STORED | {"health", "ports", "ring"},
    "heads": STORED | {"ports"},
    "watch": STORED | {"heads", "ports", "tokens"},
    "retention": STORED | {"ports"},
    "platforms": {"errors", "model", "ports", "steps", "turns"},
    "storage": STORED | {"children", "ports", "log"},
    "sandbox": set(),
    "transport": {"access", "connect", "errors", "health", "leases", "limits", "log", "model"}
    | {"platforms.registry", "profiles", "turns", "watch"},
}
# each library, and the parts that alone may import it
ONLY = {
    "grpc": {"transport", "cli", "demo"},
    "grpc_health": {"transport", "cli"},
    "grpc_reflection": {"transport"},
    "grpc_status": {"transport"},
    "postcore": {"transport", "demo"},
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
    "cryptography": {"vault", "tokens", "transport"},
    "click": {"cli", "command", "keyring", "tenancy", "demo", "sandbox"},
    "pydantic": {"config"},
    "orjson": {"log", "vault"},
}


# the settings, and what hands the environment on to a child
MAY_READ_ENVIRONMENT = {"config.py", "postgres_url.py", "cli.py", "demo.py"} | {
    "storage/migrations/__init__.py"
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
        if target == part or inner == "__version__" or "*" in allowed:
            continue
        assert target in allowed or inner in allowed, f"{file} imports {module}"


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
