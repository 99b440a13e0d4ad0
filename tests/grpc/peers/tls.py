"""A certificate authority of the tests' own, and the certificates it signs."""

import datetime as dt
import ssl
from pathlib import Path

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


_NOW = dt.datetime.now(dt.UTC)
_DAY = dt.timedelta(days=1)


class Certificate:
    """A certificate and its key, in PEM."""

    def __init__(self, signed: x509.Certificate, key: ec.EllipticCurvePrivateKey):
        encoding = serialization.Encoding.PEM
        self.chain = signed.public_bytes(encoding)
        self.key = key.private_bytes(
            encoding,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )

    def server_credentials(self, client_roots: bytes | None = None):
        """For a grpcio server; *client_roots*: clients must show a certificate."""
        return grpc.ssl_server_credentials(
            [(self.key, self.chain)], client_roots, client_roots is not None
        )

    def context(
        self, folder: Path, *protocols: str, client_roots: bytes = b""
    ) -> ssl.SSLContext:
        """For a socket of Python's that offers *protocols* by ALPN."""
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        pem = folder / "server.pem"
        pem.write_bytes(self.chain + self.key)
        made.load_cert_chain(pem)
        if protocols:
            made.set_alpn_protocols(list(protocols))
        if client_roots:
            made.load_verify_locations(cadata=client_roots.decode())
            made.verify_mode = ssl.CERT_REQUIRED
        return made


class Authority:
    """Signs certificates for names."""

    def __init__(self, name: str = "authority of the tests") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named(name)
        basic = x509.BasicConstraints(ca=True, path_length=None)
        made = _builder(self._name, self._name, self._key, _NOW + _DAY)
        made = made.add_extension(basic, critical=True)
        self._signed = made.sign(self._key, hashes.SHA256())
        self.roots = Certificate(self._signed, self._key).chain

    def certificate(
        self, name: str = "localhost", *, expired: bool = False
    ) -> Certificate:
        """A certificate for the DNS *name*."""
        key = ec.generate_private_key(ec.SECP256R1())
        until = _NOW - _DAY if expired else _NOW + _DAY
        made = _builder(_named(name), self._name, key, until)
        names = x509.SubjectAlternativeName([x509.DNSName(name)])
        made = made.add_extension(names, critical=False)
        return Certificate(made.sign(self._key, hashes.SHA256()), key)


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _builder(subject, issuer, key, until) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_NOW - 9 * _DAY)
        .not_valid_after(until)
    )
