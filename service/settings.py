"""Settings: one typed object, read once from the environment."""

import os
import re
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
)

from service.storage import postgres_url

PREFIX = "POSTCORE_"
PUBLIC_DIRECTORY = "https://plc.directory"
CLIENT_VARIABLES = frozenset({"POSTCORE_API_KEY"})
"""Variables of that prefix that belong to callers, not to the service."""
CALLED_AT = ("grpc_address", "http_address")
"""The settings that are addresses which callers reach with keys and passwords."""
PROTECTION = frozenset(
    {"tls_cert_file", "tls_key_file", "tls_client_ca_file", "allow_plaintext"}
    | {"allow_unverified_database"}
)
"""Those that say how these, and the way to the database, are protected."""
ADDRESS = re.compile(
    r"(?P<host>\[[0-9a-f:.]+\]|[a-z0-9.-]+):(?P<port>0|[1-9][0-9]{0,4})", re.ASCII | re.IGNORECASE
)
HOST_NAME = re.compile(
    r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*",
    re.ASCII | re.IGNORECASE,
)
ORIGIN = re.compile(
    r"https?://(?:\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::([0-9]{1,5}))?/?", re.ASCII | re.IGNORECASE
)


class ConfigError(Exception):
    """Every fault of the settings at once, each by its variable's name and without its value."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


def _comma_separated(value: object) -> object:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _address(value: str) -> str:
    match = ADDRESS.fullmatch(value)
    if match is None or int(match["port"]) >= 65536 or not _is_host(match["host"]):
        raise ValueError("must be HOST:PORT, with an IPv6 address in brackets: [::1]:50051")
    return value


def _is_host(host: str) -> bool:
    """Whether *host* is an address, or a name that no address is mistaken for."""
    try:
        return ip_address(host.strip("[]")).version == (6 if host[0] == "[" else 4)
    except ValueError:
        return HOST_NAME.fullmatch(host) is not None and not host.rpartition(".")[2].isdigit()


def is_loopback(address: str) -> bool:
    """Whether *address* (HOST:PORT) can be reached from this machine alone."""
    host = address.rpartition(":")[0].strip("[]")
    try:
        return host.lower() == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _origin(value: str) -> str:
    match = ORIGIN.fullmatch(value)
    if match is None or not 0 < int(match[1] or 443) < 65536:
        raise ValueError("must be http(s)://HOST[:PORT] and no more")
    return value.rstrip("/")


Count = Annotated[int, Field(ge=0)]


Pair = Annotated[tuple[Count, Count], BeforeValidator(_comma_separated)]


class Settings(BaseModel):
    """What can be set. Each is the variable `POSTCORE_` and its name in capitals."""

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    grpc_address: str = "127.0.0.1:50051"
    http_address: str = "127.0.0.1:8080"
    http_cors_origins: Annotated[tuple[str, ...], BeforeValidator(_comma_separated)] = ()
    """Of pages that may call from a browser."""
    max_http_connections: int = Field(500, ge=1)
    sandbox_address: str = "127.0.0.1:2580"
    sandbox_control_address: str = "127.0.0.1:2581"
    """Where `postcore sandbox` drives it."""
    database_url: str = Field("sqlite:///data/postcore.db", repr=False)
    allow_unverified_database: bool = False
    """Send the password of a PostgreSQL on another machine without checking its certificate."""
    database_pool_size: int = Field(10, ge=1, le=1000)
    """Connections of one process to PostgreSQL, at most."""
    keyring_file: Path = Path("data/keyring.json")
    plc_url: str = PUBLIC_DIRECTORY
    handle_resolver_url: str | None = None
    trusted_origins: Annotated[tuple[str, ...], BeforeValidator(_comma_separated)] = ()
    egress_ca_file: Path | None = None
    """Roots of private servers: for trusted origins, and for no public name."""
    egress_proxy_ca_file: Path | None = None
    """Roots of a proxy that opens TLS: for every origin."""
    log_format: Literal["json", "console"] = "json"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    max_concurrent_calls: int = Field(1000, ge=1)
    """Calls at once in one process; a quarter more for tenants with few calls of their own."""
    concurrent_calls_per_tenant: int = Field(250, ge=1)
    max_grpc_connections: int = Field(1000, ge=10)
    login_budget: Pair = (10, 50)
    """Logins of one account at its server, in five minutes and in a day."""
    connect_login_budget: Pair = (
        7,
        35,
    )
    """Of these, what connects of tenants that are not connected to the account may spend."""
    tenant_login_budget: Pair = (5, 20)
    """Of these, what one tenant's connects may spend."""
    check_hours: float = Field(6, gt=0, le=24)
    """How often each connection is checked, about."""
    checks_per_second: float = Field(20, ge=0.1, le=1000)
    """How many checks one process starts in a second, at most."""
    lease_audit_days: int = Field(90, ge=1, le=3650)
    """How long it is remembered who was lent a session."""
    calls_per_second: int = Field(1000, ge=1)
    """Of one API key, in one process."""
    at_once_per_tenant: int = Field(32, ge=1)
    """Connects of one tenant under way, and as many renewals and checks that it asks for; in one
    process, which has 200 connections to platforms for all of them."""
    lookups_per_tenant: int = Field(50, ge=1)
    """Look-ups of accounts a second that one tenant's connects may cause, and as many checks that
    it asks for; five times as many after a pause. In one process."""
    lookups_per_host: int = Field(200, ge=1)
    """The same of all tenants at one host; three times as many after a pause."""
    max_streams: int = Field(2000, ge=1)
    """Watches at once in one process; they do not count as calls."""
    streams_per_tenant: int = Field(1000, ge=1)
    event_retention_days: int = Field(7, ge=1, le=3650)
    tls_cert_file: Path | None = None
    """The server's certificate and those that lead to its root, in PEM."""
    tls_key_file: Path | None = None
    tls_client_ca_file: Path | None = None
    """Who vouches for callers, which then have to show a certificate."""
    allow_plaintext: bool = False
    """Take calls without TLS from other machines, too."""
    drain_pause_seconds: float = Field(0.3, ge=0, le=3600)
    """Between telling health checks to go elsewhere and taking no more calls."""
    drain_seconds: float = Field(20, ge=0, le=3600)
    """How long calls, and then the work they left, may take to end."""

    @field_validator("grpc_address", "http_address", "sandbox_address", "sandbox_control_address")
    @classmethod
    def _check_address(cls, value: str) -> str:
        return _address(value)

    @field_validator("plc_url", "handle_resolver_url")
    @classmethod
    def _check_origin(cls, value: str | None) -> str | None:
        return value and _origin(value)

    @field_validator("trusted_origins", "http_cors_origins")
    @classmethod
    def _check_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_origin(origin) for origin in value)

    @field_validator("database_url")
    @classmethod
    def _check_database(cls, value: str) -> str:
        if value.startswith(("postgresql://", "postgres://")):
            postgres_url.check(value)
            return value
        if not value.startswith("sqlite:///") or value[10:] in ("", ":memory:"):
            raise ValueError("must be sqlite:///PATH or postgresql://…")
        if set(value) & set("?#%"):
            raise ValueError("must be sqlite:///PATH, with no ?, # or % in it")
        return value

    @property
    def is_postgres(self) -> bool:
        return not self.database_url.startswith("sqlite:")

    def _disagreements(self, environ: Mapping[str, str]) -> list[str]:
        """What is wrong with settings that are right each by itself."""
        wrong = []
        for name, other in (("cert", "key"), ("key", "cert"), ("client_ca", "cert")):
            if getattr(self, f"tls_{name}_file") and not getattr(self, f"tls_{other}_file"):
                wrong.append(
                    f"{PREFIX}TLS_{other.upper()}_FILE: must be set where "
                    f"{PREFIX}TLS_{name.upper()}_FILE is"
                )
        if self.tls_cert_file is None and not self.allow_plaintext:
            wrong += [
                f"{PREFIX}{name.upper()}: other machines can reach it, and calls carry passwords: "
                f"set {PREFIX}TLS_CERT_FILE and {PREFIX}TLS_KEY_FILE, or, where something in "
                f"front of it ends TLS, {PREFIX}ALLOW_PLAINTEXT=true"
                for name in CALLED_AT
                if not is_loopback(getattr(self, name))
            ]
        if (
            self.is_postgres
            and not self.allow_unverified_database
            and postgres_url.is_unverified(self.database_url, environ)
        ):
            wrong.append(
                f"{PREFIX}DATABASE_URL: leads to another machine without verified TLS, and the "
                "password would go there: add sslmode=verify-full (and sslrootcert=FILE) to the "
                f"URL, or set {PREFIX}ALLOW_UNVERIFIED_DATABASE=true"
            )
        return wrong

    @property
    def database_file(self) -> Path:
        """Of SQLite."""
        return Path(self.database_url.removeprefix("sqlite:///"))

    @classmethod
    def read(cls, environ: Mapping[str, str] | None = None) -> Self:
        """The settings of *environ* (default: the process's); raises ConfigError.

        A variable named `…_FILE` beside a secret one holds the path of a file with its value.
        """
        environ = os.environ if environ is None else environ
        faults: list[str] = []
        given = {
            name.removeprefix(PREFIX): value
            for name, value in environ.items()
            if name.startswith(PREFIX) and name not in CLIENT_VARIABLES and value != ""
        }
        if path := given.pop("DATABASE_URL_FILE", None):
            if "DATABASE_URL" in given:
                faults.append("POSTCORE_DATABASE_URL and POSTCORE_DATABASE_URL_FILE are both set")
            try:
                given["DATABASE_URL"] = Path(path).read_text().strip()
            except (OSError, UnicodeDecodeError):
                faults.append("POSTCORE_DATABASE_URL_FILE: the file cannot be read")
        # in capitals alone: of two that differ in case, one would hide the other
        known = {name.upper(): name for name in cls.model_fields}
        faults += [f"{PREFIX}{name}: no such setting" for name in sorted(given.keys() - known)]
        named = {known[name]: value for name, value in given.items() if name in known}
        try:
            settings = cls.model_validate(named)
        except ValidationError as error:
            wrong = {}
            for fault in error.errors(include_input=False, include_url=False):
                name = str(fault["loc"][0])
                told = fault["msg"].removeprefix("Value error, ")
                wrong[name] = f"{PREFIX}{name.upper()}: {told}"
            faults += wrong.values()
            # what the others say of each other is told, too, unless one of these has its say there
            settings = cls.model_validate(
                {name: value for name, value in named.items() if name not in wrong}
            )
            if wrong.keys() & PROTECTION:
                raise ConfigError(faults) from None
        faults += settings._disagreements(environ)
        if faults:
            raise ConfigError(faults)
        return settings
