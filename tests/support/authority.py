"""Authority: issues the certificates that tests present and trust."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

HOUR = timedelta(hours=1)
FOR_CERTIFICATES = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)
"""Key usage of an authority."""


class Authority:
    """A root certificate; issued certificates and keys are files in *folder*.

    All comply with RFC 5280, as Python 3.13 and newer require.
    """

    def __init__(self, folder: Path, name: str = "root") -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._issued = 0
        root = (
            self._certificate(self._name, self._key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(FOR_CERTIFICATES, critical=True)
        )
        self.file = folder / f"{name}.pem"
        self.file.write_bytes(root.sign(self._key, SHA256()).public_bytes(Encoding.PEM))

    @property
    def root(self) -> bytes:
        return self.file.read_bytes()

    def issue(
        self,
        file: str,
        *names: str,
        begins: timedelta = -HOUR,
        ends: timedelta = HOUR,
        purpose: x509.ObjectIdentifier | None = None,
    ) -> tuple[Path, Path]:
        """Issue a certificate for *names* (127.0.0.1 by default); return the files of it and its
        key.

        It is valid from *begins* to *ends*, relative to now, and restricted to *purpose* if that is
        given.
        """
        self._issued += 1
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{file} {self._issued}")])
        builder = self._certificate(subject, key, begins, ends).add_extension(
            x509.SubjectAlternativeName([_name(name) for name in names or ("",)]), False
        )
        if purpose is not None:
            builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), False)
        certificate = builder.sign(self._key, SHA256())
        cert_file, key_file = self._folder / f"{file}.pem", self._folder / f"{file}.key"
        # renamed into place, key first: for a moment the two do not match
        for path, content in (
            (key_file, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())),
            (cert_file, certificate.public_bytes(Encoding.PEM)),
        ):
            draft = path.with_suffix(".draft")
            draft.write_bytes(content)
            draft.rename(path)
        return cert_file, key_file

    def _certificate(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        begins: timedelta = -HOUR,
        ends: timedelta = HOUR,
    ) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + begins)
            .not_valid_after(now + ends)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
            )
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
                critical=False,
            )
        )


def _name(name: str) -> x509.GeneralName:
    if not name:
        return x509.IPAddress(ip_address("127.0.0.1"))
    return x509.DNSName(name)
