"""Certificates for the broker's TLS: an authority of our own, one server, and a client for each user.

Decides fields, lifetimes and the files below ``tls/``:

    ca.crt, ca.key          the authority. Its key must stay offline: it can name anybody
    http.crt, http.key      the HTTP API's, where it has one
    server.crt, server.key  the broker's, for the host names and addresses it is reached by
    clients/NAME.crt, .key  one for each user: common name = the user's name = the device's id

Leaves out revocation: a broker takes a list (``crlfile``), short lifetimes do the rest.

Rules: ECDSA on P-256, which every TLS stack and most secure elements can do; a client certificate is
for clients alone and a server's for servers alone (RFC 5280, 4.2.1.12); nothing is overwritten but
what is renewed; the instant comes in as a value.
"""

from __future__ import annotations

import ipaddress
import ssl
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Self

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from devicesdk.wire.topics import check_device_id
from gateway.adapters.brokers.settings import ServerTls
from gateway.adapters.keys import (
    EVERYBODY_READS,
    OWNER_ONLY,
    KeyFileError,
    refuse_existing,
    write_new,
)

TLS_FOLDER: Final = "tls"
CLIENTS_FOLDER: Final = "clients"
SERVER: Final = "server"
HTTP: Final = "http"
"""Stems of servers: the broker, and the gateway's HTTP API."""
AUTHORITY_DAYS: Final = 3650
CLOCK_SLACK: Final = timedelta(hours=1)
"""Certificates begin this much earlier, for devices whose clocks are behind."""


class Issued(msgspec.Struct, frozen=True):
    """A certificate and its private key; PEM files."""

    certificate: Path
    key: Path

    @classmethod
    def at(cls, stem: Path) -> Self:
        """The pair ``stem.crt`` and ``stem.key``."""
        return cls(stem.with_name(stem.name + ".crt"), stem.with_name(stem.name + ".key"))


class Authority:
    """A certificate authority in a folder ``tls``.

    Args:
        folder: where ``ca.crt`` lies; new pairs are written there.
        certificate: the authority's own.
        key: its private key.
    """

    def __init__(
        self, folder: Path, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey
    ) -> None:
        self.folder, self._certificate, self._key = folder, certificate, key

    @classmethod
    def create(cls, folder: Path, now: datetime) -> Self:
        """Make a new one, valid for `AUTHORITY_DAYS`.

        Raises:
            KeyFileError: there is one already.
        """
        own = Issued.at(folder / "ca")
        refuse_existing(own.certificate, own.key)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name("fleetdrill authority")
        builder = (
            _builder(name, name, key.public_key(), now, AUTHORITY_DAYS)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(authority=True), critical=True)
        )
        certificate = builder.sign(key, hashes.SHA256())
        _write_pair(own, certificate, key)
        return cls(folder, certificate, key)

    @classmethod
    def open(cls, folder: Path) -> Self:
        """The one that `create` made in `folder`.

        Raises:
            KeyFileError: there is none, or its key is elsewhere (offline, as it should be).
        """
        own = Issued.at(folder / "ca")
        try:
            certificate = x509.load_pem_x509_certificate(own.certificate.read_bytes())
            key = load_pem_private_key(own.key.read_bytes(), None)
        except (OSError, ValueError) as error:
            raise KeyFileError(
                f"expected an authority in {own.certificate} and {own.key}, found: {error}; "
                f"make one with `fleetdrill keys init --tls`, or go where its key is kept"
            ) from error
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise KeyFileError(f"expected an elliptic-curve key in {own.key}, found another kind")
        return cls(folder, certificate, key)

    def issue_server(
        self, names: tuple[str, ...], now: datetime, days: int, stem: str = SERVER
    ) -> Issued:
        """A certificate for a server.

        Args:
            names: host names and IP addresses by which clients reach it; at least one.
            now: the present instant, with its time zone.
            days: lifetime.
            stem: of its files; the broker's, if nothing is said.

        Raises:
            KeyFileError: there is one already.
            ValueError: no name.
        """
        if not names:
            raise ValueError("expected a host name or address for the server, found none")
        alternatives = x509.SubjectAlternativeName([_alternative(name) for name in names])
        purpose = ExtendedKeyUsageOID.SERVER_AUTH
        return self._issue(self.folder / stem, names[0], purpose, now, days, alternatives)

    def renew_server(
        self, names: tuple[str, ...], now: datetime, days: int, stem: str = SERVER
    ) -> Issued:
        """A certificate and a new key in the place of those that are there.

        Args:
            names: as for `issue_server`.
            now: the present instant, with its time zone.
            days: lifetime.
            stem: of its files.

        Raises:
            KeyFileError: there is none yet.
        """
        pair, new = Issued.at(self.folder / stem), Issued.at(self.folder / f"{stem}-new")
        if not (pair.certificate.exists() and pair.key.exists()):
            raise KeyFileError(f"expected {pair.certificate} and its key to be renewed, found none")
        new.certificate.unlink(missing_ok=True)  # of somebody who was interrupted
        new.key.unlink(missing_ok=True)
        self.issue_server(names, now, days, f"{stem}-new")
        new.key.replace(pair.key)
        new.certificate.replace(pair.certificate)
        return pair

    def issue_client(self, user: str, now: datetime, days: int) -> Issued:
        """A certificate with which a client is `user`.

        Raises:
            KeyFileError: there is one already.
            BadTopic: the name could not be a device's id.
        """
        stem = self.folder / CLIENTS_FOLDER / check_device_id(user)
        return self._issue(stem, user, ExtendedKeyUsageOID.CLIENT_AUTH, now, days)

    def _issue(
        self,
        stem: Path,
        name: str,
        purpose: x509.ObjectIdentifier,
        now: datetime,
        days: int,
        alternatives: x509.SubjectAlternativeName | None = None,
    ) -> Issued:
        pair = Issued.at(stem)
        refuse_existing(pair.certificate, pair.key)
        stem.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        key = ec.generate_private_key(ec.SECP256R1())
        builder = (
            _builder(_name(name), self._certificate.subject, key.public_key(), now, days)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
                critical=False,
            )
        )
        if alternatives is not None:
            builder = builder.add_extension(alternatives, critical=False)
        _write_pair(pair, builder.sign(self._key, hashes.SHA256()), key)
        return pair


def make_tls(
    folder: Path, names: tuple[str, ...], users: tuple[str, ...], now: datetime, days: int
) -> None:
    """Make a whole folder ``tls``: authority, server, and a client for each of `users`.

    Raises:
        KeyFileError: there is an authority already.
        BadTopic: a name could not be a device's id.
    """
    for user in users:
        check_device_id(user)
    authority = Authority.create(folder, now)
    authority.issue_server(names, now, days)
    for user in users:
        authority.issue_client(user, now, days)


def server_tls(folder: Path, *, client_certificates: bool = True) -> ServerTls:
    """The broker's files below a folder ``tls``."""
    own = Issued.at(folder / "server")
    return ServerTls(
        ca=folder / "ca.crt",
        certificate=own.certificate,
        key=own.key,
        client_certificates=client_certificates,
    )


def client_pair(folder: Path, user: str) -> Issued:
    """Where the pair of `user` lies below a folder ``tls``."""
    return Issued.at(folder / CLIENTS_FOLDER / user)


def client_context(ca: Path, pair: Issued | None = None) -> ssl.SSLContext:
    """What a client needs to trust the authority `ca` alone, and to prove who it is by `pair`.

    Raises:
        KeyFileError: a file is missing or is not what it should be.
    """
    try:
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=str(ca))
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if pair is not None:
            context.load_cert_chain(pair.certificate, pair.key)
    except OSError as error:  # ssl.SSLError is one
        wanted = [str(ca)] + ([str(pair.certificate), str(pair.key)] if pair else [])
        raise KeyFileError(f"expected PEM files {', '.join(wanted)}, found: {error}") from error
    return context


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public: ec.EllipticCurvePublicKey,
    now: datetime,
    days: int,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SLACK)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def _write_pair(
    pair: Issued, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey
) -> None:
    write_new(
        pair.key,
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        OWNER_ONLY,
    )
    write_new(pair.certificate, certificate.public_bytes(Encoding.PEM), EVERYBODY_READS)
