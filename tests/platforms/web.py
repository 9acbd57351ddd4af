"""Web: certificates for any host name, from a certificate authority that the tests create."""

import datetime
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support.authority import FOR_CERTIFICATES

DAY = datetime.timedelta(days=1)


class Authority:
    """A certificate authority; *roots* is the file that makes a client believe it.

    *misnamed* maps a host to the name that its certificate shows instead. The certificates of hosts
    in *expired* ended yesterday; those of hosts in *self_signed* have no authority behind them.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("Authority of the tests")
        self._contexts: dict[str, ssl.SSLContext] = {}
        self.misnamed: dict[str, str] = {}
        self.expired: set[str] = set()
        self.self_signed: set[str] = set()
        self.roots = folder / "roots.pem"
        certificate = self._sign(self._name, self._key.public_key(), authority=True)
        self.roots.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def context(self) -> ssl.SSLContext:
        """For a server that answers to every host name."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.sni_callback = self._choose
        return context

    def _choose(self, handshake: ssl.SSLObject, host: str | None, _: ssl.SSLContext) -> None:
        shown = self.misnamed.get(host or "", host or "nameless.test")
        if shown not in self._contexts:
            self._contexts[shown] = self._context_for(shown)
        handshake.context = self._contexts[shown]

    def _context_for(self, host: str) -> ssl.SSLContext:
        key = ec.generate_private_key(ec.SECP256R1())
        signer = (_name("a host"), key) if host in self.self_signed else (self._name, self._key)
        certificate = self._sign(_name("a host"), key.public_key(), host=host, signer=signer)
        chain = self._folder / f"{len(self._contexts)}.pem"
        chain.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain)
        return context

    def _sign(
        self,
        subject: x509.Name,
        public_key: ec.EllipticCurvePublicKey,
        *,
        host: str = "",
        authority: bool = False,
        signer: tuple[x509.Name, ec.EllipticCurvePrivateKey] | None = None,
    ) -> x509.Certificate:
        issuer, issuer_key = signer or (self._name, self._key)
        now = datetime.datetime.now(datetime.UTC) - (2 * DAY if host in self.expired else 0 * DAY)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - DAY)
            .not_valid_after(now + DAY)
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()),
                critical=False,
            )
        )
        if authority:  # what Python 3.13 and newer ask of one
            builder = builder.add_extension(FOR_CERTIFICATES, critical=True)
        if host:
            names = x509.SubjectAlternativeName([x509.DNSName(host)])
            builder = builder.add_extension(names, critical=False)
        return builder.sign(issuer_key, hashes.SHA256())


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
