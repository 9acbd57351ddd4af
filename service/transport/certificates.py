"""Certificates: the server's certificate and its client authority, reloaded when the files change.

New connections get the new certificate; open connections keep the old one. If the new files do not
match each other, as during a replacement one by one, or the certificate is not valid now, the
previous certificate stays in use.
"""

import ssl
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Any, cast

import grpc
import structlog
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key

CERT = "POSTCORE_TLS_CERT_FILE"
KEY = "POSTCORE_TLS_KEY_FILE"
CLIENT_CA = "POSTCORE_TLS_CLIENT_CA_FILE"

log = structlog.get_logger()


class CertificateError(Exception):
    """The certificates cannot be used. The text is a sentence that names the setting."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A matching certificate chain, private key and client authority, in PEM."""

    chain: bytes
    key: bytes = field(repr=False)
    client_ca: bytes | None
    leaf: x509.Certificate = field(repr=False)


class Certificates:
    """Certificates in files. The constructor raises CertificateError if they cannot be used."""

    def __init__(self, cert_file: Path, key_file: Path, client_ca_file: Path | None) -> None:
        self._cert_file = cert_file
        self._key_file = key_file
        self._client_ca_file = client_ca_file
        self._lock = Lock()
        self._loaded_identity = self._rejected_identity = self._identity()
        self._loaded = self._load()
        self._context = self._new_context()

    @property
    def requires_client_certificate(self) -> bool:
        """Whether callers must present a certificate."""
        return self._client_ca_file is not None

    def current(self) -> Loaded:
        """Return the latest usable content of the files; reload it if they changed."""
        with self._lock:
            identity = self._identity()
            if identity != self._loaded_identity:
                try:
                    loaded = self._load()
                    context = self._new_context()
                except CertificateError as error:
                    if identity != self._rejected_identity:
                        log.error("certificates cannot be used", why=str(error))
                    self._rejected_identity = identity
                else:
                    self._loaded_identity, self._loaded, self._context = identity, loaded, context
                    until = loaded.leaf.not_valid_after_utc.isoformat()
                    log.info("certificates loaded", until=until)
            return self._loaded

    def grpc_server(self) -> grpc.ServerCredentials:
        """Return credentials that a gRPC server reloads for each connection. TLS 1.2 or later."""
        served = self._loaded

        def fetch() -> grpc.ServerCertificateConfiguration | None:
            nonlocal served
            now = self.current()
            if now is served:
                return None
            served = now
            return _configuration(now)

        return grpc.dynamic_ssl_server_credentials(
            _configuration(served),
            # grpc accepts None for "unchanged"; its stubs do not say so
            cast("Any", fetch),
            require_client_authentication=self.requires_client_certificate,
        )

    def grpc_client(self) -> tuple[grpc.ChannelCredentials, str]:
        """Return credentials for a call to this server itself, and the name to expect in its
        certificate."""
        loaded = self._loaded
        presented = (loaded.key, loaded.chain) if self.requires_client_certificate else (None, None)
        return grpc.ssl_channel_credentials(loaded.chain, *presented), _name(loaded.leaf)

    def http_server(self) -> ssl.SSLContext:
        """Return the context for the next connection of an HTTP server. TLS 1.2 or later.

        Each change makes a new context, so that no session from before is resumed: its caller
        would not present a certificate again.
        """
        self.current()
        return self._context

    def _new_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION  # a handshake costs a client little, and us much
        try:
            context.load_cert_chain(self._cert_file, self._key_file)
            if self._client_ca_file is not None:
                context.verify_mode = ssl.CERT_REQUIRED
                context.load_verify_locations(self._client_ca_file)
        except (OSError, ValueError):
            raise CertificateError(
                f"{CERT}: {self._cert_file} cannot be used by a server"
            ) from None
        return context

    def _load(self) -> Loaded:
        chain = _read(CERT, self._cert_file)
        key = _read(KEY, self._key_file)
        leaf = _certificates(CERT, self._cert_file, chain)[0]
        if not leaf.not_valid_before_utc <= datetime.now(UTC) <= leaf.not_valid_after_utc:
            raise CertificateError(
                f"{CERT}: {self._cert_file} is good from {leaf.not_valid_before_utc.isoformat()} "
                f"until {leaf.not_valid_after_utc.isoformat()}, and not now"
            )
        client_ca = None
        if self._client_ca_file is not None:
            client_ca = _read(CLIENT_CA, self._client_ca_file)
            _certificates(CLIENT_CA, self._client_ca_file, client_ca)
        try:
            private = load_pem_private_key(key, None)
            belongs = private.public_key() == leaf.public_key()
        except (ValueError, TypeError, UnsupportedAlgorithm):
            # from None: the library's message may quote the key
            raise CertificateError(
                f"{KEY}: {self._key_file} holds no private key, or one with a password"
            ) from None
        if not belongs:
            raise CertificateError(
                f"{KEY}: {self._key_file} does not belong to the certificate in {self._cert_file}"
            )
        return Loaded(chain, key, client_ca, leaf)

    def _identity(self) -> list[tuple[int, int, int] | None]:
        files = self._cert_file, self._key_file, self._client_ca_file
        return [_identity(file) for file in files if file is not None]


def _identity(file: Path) -> tuple[int, int, int] | None:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


def _read(name: str, file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise CertificateError(f"{name}: {file} cannot be read: {error.strerror}") from None


def _certificates(name: str, file: Path, content: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(content)
    except ValueError:
        raise CertificateError(f"{name}: {file} holds no certificate in PEM") from None


def _configuration(loaded: Loaded) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([(loaded.key, loaded.chain)], loaded.client_ca)


def _name(leaf: x509.Certificate) -> str:
    """Return a host name or address that *leaf* is valid for; empty if it names none."""
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ""
    for dns_name in names.get_values_for_type(x509.DNSName):
        return dns_name.replace("*", "any", 1)
    return next(map(str, names.get_values_for_type(x509.IPAddress)), "")
