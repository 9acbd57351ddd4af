"""Settings: one typed object, read once from the environment."""

import os
import re
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal, Self

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
"""Variables with the prefix that callers use, not the service."""
PUBLIC_ADDRESSES = ("grpc_address", "http_address")
"""Settings: addresses that callers send API keys and passwords to."""
PROTECTION = frozenset(
    {"tls_cert_file", "tls_key_file", "tls_client_ca_file", "allow_plaintext"}
    | {"allow_unverified_database"}
)
"""Settings: how those addresses, and the connection to the database, are protected."""
OFF = "off"
"""The value of `admin_address` that starts no server of probes and metrics."""
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
    """All errors in the settings, each with the variable's name and without its value."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


def _comma_separated(value: Any) -> Any:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _by_name(value: object) -> object:
    """Return the values of `name=value,…` by name."""
    if isinstance(value, str):
        pairs = [part.partition("=") for part in _comma_separated(value)]
        return {name.strip(): origin.strip() for name, _, origin in pairs}
    return value


def _address(value: str) -> str:
    match = ADDRESS.fullmatch(value)
    if match is None or int(match["port"]) >= 65536 or not _is_host(match["host"]):
        raise ValueError("must be HOST:PORT, with an IPv6 address in brackets: [::1]:50051")
    return value


def _is_host(host: str) -> bool:
    """Return whether *host* is an IP address, or a name that cannot be taken for one."""
    try:
        return ip_address(host.strip("[]")).version == (6 if host[0] == "[" else 4)
    except ValueError:
        return HOST_NAME.fullmatch(host) is not None and not host.rpartition(".")[2].isdigit()


def traces_wanted(environ: Mapping[str, str] | None = None) -> bool:
    """Return whether the standard OTEL_… variables in *environ* ask for traces.

    They do where they name an endpoint, or `otlp` as the exporter.
    """
    environ = os.environ if environ is None else environ
    if environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    exporter = environ.get("OTEL_TRACES_EXPORTER", "")
    names = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    return exporter == "otlp" or (not exporter and any(environ.get(name) for name in names))


def is_loopback(address: str) -> bool:
    """Return whether *address* (HOST:PORT) can be reached only from this machine."""
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
    """The settings. Each is read from the variable POSTCORE_ plus its name in capitals."""

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    grpc_address: str = "127.0.0.1:50051"
    """HOST:PORT of the gRPC server; port 0 means any free port."""
    http_address: str = "127.0.0.1:8080"
    """HOST:PORT of the HTTP server; port 0 means any free port."""
    admin_address: str = "127.0.0.1:9090"
    """HOST:PORT of probes and metrics, in plain text; port 0 means any free port, `off` none."""
    http_cors_origins: Annotated[tuple[str, ...], BeforeValidator(_comma_separated)] = ()
    """Origins, separated by commas, whose pages may call the HTTP server from a browser."""
    public_url: str = ""
    """Origin at which people reach the HTTP server, for links to it; default: its address."""
    max_http_connections: int = Field(500, ge=1)
    """Maximum number of open connections to the HTTP server of one process."""
    sandbox_address: str = "127.0.0.1:2580"
    """HOST:PORT, on loopback, of the sandbox's stand-in for Bluesky."""
    sandbox_control_address: str = "127.0.0.1:2581"
    """HOST:PORT, on loopback, where the commands `postcore sandbox` control the sandbox."""
    database_url: str = Field("sqlite:///data/postcore.db", repr=False)
    """sqlite:///PATH or postgresql://…; POSTCORE_DATABASE_URL_FILE may name a file with it."""
    allow_unverified_database: bool = False
    """Connect to PostgreSQL on another machine, and send it the password, without verified TLS."""
    database_pool_size: int = Field(10, ge=1, le=1000)
    """Maximum number of connections of one process to PostgreSQL."""
    keyring_file: Path = Path("data/keyring.json")
    """Path of the keyring."""
    plc_url: str = PUBLIC_DIRECTORY
    """Origin of the directory of did:plc identities."""
    handle_resolver_url: str | None = None
    """Origin of a server that resolves handles; default: DNS and the handle's own host."""
    trusted_origins: Annotated[tuple[str, ...], BeforeValidator(_comma_separated)] = ()
    """Origins, separated by commas, that may be called although they are private or plain HTTP."""
    platform_origins: Annotated[dict[str, str], BeforeValidator(_by_name)] = {}
    """`platform=origin`, separated by commas: called instead of the platform's one host."""
    webhook_origins: Annotated[tuple[str, ...], BeforeValidator(_comma_separated)] = ()
    """Origins, separated by commas, that webhooks may name although they are private or plain
    HTTP."""
    egress_ca_file: Path | None = None
    """PEM file of root certificates for private servers: used for trusted origins, and for no
    public name."""
    egress_proxy_ca_file: Path | None = None
    """PEM file of root certificates of a proxy that intercepts TLS: used for every origin."""
    log_format: Literal["json", "console"] = "json"
    """`json` (one object a line) or `console` (for a terminal)."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Lowest level of the log lines that are written."""
    max_concurrent_calls: int = Field(1000, ge=1)
    """Maximum number of calls under way in one process. A quarter more is reserved for tenants with
    few calls under way."""
    concurrent_calls_per_tenant: int = Field(250, ge=1)
    """Maximum number of calls under way of one tenant in one process."""
    max_grpc_connections: int = Field(1000, ge=10)
    """Maximum number of open connections to the gRPC server of one process, approximately."""
    login_budget: Pair = (10, 50)
    """Maximum number of logins to one account in 5 minutes and in 24 hours, over all tenants."""
    connect_login_budget: Pair = (
        7,
        35,
    )
    """The part of `login_budget` that tenants without a connection to the account may spend on
    connects, in 5 minutes and in 24 hours."""
    tenant_login_budget: Pair = (5, 20)
    """The part of `login_budget` that one tenant may spend on connects, in 5 minutes and in 24
    hours."""
    check_hours: float = Field(6, gt=0, le=24)
    """Approximate interval, in hours, between two checks of one connection."""
    checks_per_second: float = Field(20, ge=0.1, le=1000)
    """Maximum rate, per second, at which one process starts checks."""
    audit_days: int = Field(90, ge=1, le=3650)
    """Days for which the audit trail is kept."""
    calls_per_second: int = Field(1000, ge=1)
    """Maximum rate, per second, of calls with one API key in one process."""
    at_once_per_tenant: int = Field(32, ge=1)
    """Maximum number of connects under way of one tenant in one process, and of renewals and
    requested checks. All tenants share 200 connections to platforms."""
    lookups_per_tenant: int = Field(50, ge=1)
    """Maximum rate, per second, of account look-ups for one tenant's connects in one process, and
    of requested checks. Five seconds' worth may be saved up."""
    lookups_per_host: int = Field(200, ge=1)
    """The same for all tenants at one host. Three seconds' worth may be saved up."""
    max_streams: int = Field(2000, ge=1)
    """Maximum number of watch streams in one process. They do not count as calls."""
    streams_per_tenant: int = Field(1000, ge=1)
    """Maximum number of watch streams of one tenant in one process."""
    event_retention_days: int = Field(7, ge=1, le=3650)
    """Days for which events are kept: a watch can resume from a cursor of that age."""
    tls_cert_file: Path | None = None
    """PEM file of the server's certificate, followed by its intermediate certificates."""
    tls_key_file: Path | None = None
    """PEM file of the private key of `tls_cert_file`."""
    tls_client_ca_file: Path | None = None
    """PEM file of root certificates for callers, which must then present a certificate."""
    allow_plaintext: bool = False
    """Accept calls without TLS from other machines."""
    drain_pause_seconds: float = Field(0.3, ge=0, le=3600)
    """Seconds from the stop signal, when health checks start to fail, until new calls are
    rejected."""
    drain_seconds: float = Field(20, ge=0, le=3600)
    """Maximum time, in seconds, for calls under way to end, and again for their background work."""

    @field_validator("grpc_address", "http_address", "sandbox_address", "sandbox_control_address")
    @classmethod
    def _check_address(cls, value: str) -> str:
        return _address(value)

    @field_validator("admin_address")
    @classmethod
    def _check_admin_address(cls, value: str) -> str:
        return value if value == OFF else _address(value)

    @field_validator("plc_url", "handle_resolver_url")
    @classmethod
    def _check_origin(cls, value: str | None) -> str | None:
        return value and _origin(value)

    @field_validator("public_url")
    @classmethod
    def _check_public_url(cls, value: str) -> str:
        if value and not (origin := _origin(value)).startswith("https:"):
            # passwords are typed there
            address = origin.partition("//")[2]
            if not is_loopback(address if re.search(r":[0-9]+$", address) else f"{address}:80"):
                raise ValueError("must begin with https://, except for a loopback address")
        return value.rstrip("/")

    @field_validator("trusted_origins", "http_cors_origins", "webhook_origins")
    @classmethod
    def _check_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_origin(origin) for origin in value)

    @field_validator("platform_origins")
    @classmethod
    def _check_platform_origins(cls, value: dict[str, str]) -> dict[str, str]:
        if not all(value):
            raise ValueError("must be platform=origin, separated by commas")
        return {name: _origin(origin) for name, origin in value.items()}

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
        """Return the errors in combinations of settings that are each valid."""
        errors = []
        for name, other in (("cert", "key"), ("key", "cert"), ("client_ca", "cert")):
            if getattr(self, f"tls_{name}_file") and not getattr(self, f"tls_{other}_file"):
                errors.append(
                    f"{PREFIX}TLS_{other.upper()}_FILE: must be set where "
                    f"{PREFIX}TLS_{name.upper()}_FILE is"
                )
        if self.tls_cert_file is None and not self.allow_plaintext:
            errors += [
                f"{PREFIX}{name.upper()}: other machines can reach it, and calls carry passwords: "
                f"set {PREFIX}TLS_CERT_FILE and {PREFIX}TLS_KEY_FILE, or, where something in "
                f"front of it ends TLS, {PREFIX}ALLOW_PLAINTEXT=true"
                for name in PUBLIC_ADDRESSES
                if not is_loopback(getattr(self, name))
            ]
        if (
            self.is_postgres
            and not self.allow_unverified_database
            and postgres_url.is_unverified(self.database_url, environ)
        ):
            errors.append(
                f"{PREFIX}DATABASE_URL: leads to another machine without verified TLS, and the "
                "password would go there: add sslmode=verify-full (and sslrootcert=FILE) to the "
                f"URL, or set {PREFIX}ALLOW_UNVERIFIED_DATABASE=true"
            )
        return errors

    @property
    def database_file(self) -> Path:
        """Path of the SQLite database."""
        return Path(self.database_url.removeprefix("sqlite:///"))

    @classmethod
    def read(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Read the settings from *environ* (default: `os.environ`); raise ConfigError.

        POSTCORE_DATABASE_URL_FILE holds the path of a file with the value of the URL.
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
        # accepts capitals only: of two names that differ in case, one would hide the other
        known = {name.upper(): name for name in cls.model_fields}
        faults += [f"{PREFIX}{name}: no such setting" for name in sorted(given.keys() - known)]
        named = {known[name]: value for name, value in given.items() if name in known}
        try:
            settings = cls.model_validate(named)
        except ValidationError as error:
            wrong = {}
            for fault in error.errors(include_input=False, include_url=False):
                name = str(fault["loc"][0])
                message = fault["msg"].removeprefix("Value error, ")
                wrong[name] = f"{PREFIX}{name.upper()}: {message}"
            faults += wrong.values()
            # also reports errors in combinations of the valid settings, unless an invalid one could
            # change those
            settings = cls.model_validate(
                {name: value for name, value in named.items() if name not in wrong}
            )
            if wrong.keys() & PROTECTION:
                raise ConfigError(faults) from None
        faults += settings._disagreements(environ)
        if faults:
            raise ConfigError(faults)
        return settings
