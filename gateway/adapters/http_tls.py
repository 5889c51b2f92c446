"""The certificate with which the HTTP API shows who it is.

Decides what a certificate and its key must be, the versions of TLS, and when a new certificate is taken. Leaves out
making them (certificates.py) and listening (gateway/api/server.py). Calls read files: threads other than the loop's
make them.

Rules: TLS 1.2 or later, no renegotiation; nothing is asked for on a terminal; what cannot be used is refused
when the gateway starts, and says why; a running gateway takes new files when both fit each other, and keeps
what it has until then.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID

from gateway.adapters.keys import KeyFileError

WARN_DAYS: Final = 14
PEM_BYTES_MAX: Final = 1024 * 1024
_LOG: Final = logging.getLogger(__name__)
Stamp = tuple[tuple[int, int, int], ...]


class Shown(msgspec.Struct, frozen=True):
    """What a certificate says."""

    names: tuple[str, ...]
    """Host names for which it stands; ``*.`` begins a wildcard."""
    ends: datetime


class HttpTls:
    """A certificate and its key, and those that take their place.

    Args:
        certificate: PEM file; ours first, then those up to the authority's.
        key: PEM file of its private key, without a passphrase.
        wall_ms: UTC now.

    Raises:
        KeyFileError: they cannot be used.
    """

    def __init__(self, certificate: Path, key: Path, wall_ms: Callable[[], int]) -> None:
        self._certificate, self._key, self._wall_ms = certificate, key, wall_ms
        self._stamp = self._failed = _stamp(certificate, key)
        self.shown = read_pair(certificate, key, wall_ms())
        self.context = _context(certificate, key)
        self._warn()

    @property
    def names(self) -> tuple[str, ...]:
        """Host names by which we may be asked."""
        return self.shown.names

    def look(self) -> bool:
        """Take new files if there are any that fit; whether there were."""
        try:
            stamp = _stamp(self._certificate, self._key)
        except KeyFileError:
            return False  # between two files of somebody who copies
        if stamp == self._stamp:
            return False
        try:
            shown = read_pair(self._certificate, self._key, self._wall_ms())
            context = _context(self._certificate, self._key)
        except KeyFileError as error:
            if stamp == self._failed:  # not in the middle of being written: it stays so
                _LOG.error("a new certificate cannot be used: %s", error)
                self._stamp = stamp
            self._failed = stamp
            return False
        self._stamp, self.shown, self.context = stamp, shown, context
        _LOG.warning("a new certificate is shown from now on: it ends %s", shown.ends.isoformat())
        self._warn()
        return True

    def _warn(self) -> None:
        left = self.shown.ends - _instant(self._wall_ms())
        if left < timedelta(days=WARN_DAYS):
            _LOG.warning("the certificate %s ends in %d days", self._certificate, left.days)


def read_pair(certificate: Path, key: Path, now_ms: int) -> Shown:
    """What a certificate says, if a server can show it now.

    Raises:
        KeyFileError: it cannot.
    """
    try:
        found = x509.load_pem_x509_certificates(_bytes(certificate))[0]
    except ValueError as error:
        raise KeyFileError(f"expected a PEM certificate in {certificate}, found: {error}") from None
    try:
        private = load_pem_private_key(_bytes(key), None)
    except TypeError:
        raise KeyFileError(
            f"expected a key without a passphrase in {key}, found one with: nobody is there to type it; let "
            f"`openssl pkey` write it without, in a file that only the gateway reads"
        ) from None
    except ValueError as error:
        raise KeyFileError(f"expected a PEM private key in {key}, found: {error}") from None
    if _public(private.public_key()) != _public(found.public_key()):
        raise KeyFileError(f"expected the key of {certificate} in {key}, found another's")
    _refuse_out_of_time(found, certificate, _instant(now_ms))
    _refuse_others_purpose(found, certificate)
    return Shown(_names(found), found.not_valid_after_utc)


def _refuse_out_of_time(found: x509.Certificate, file: Path, now: datetime) -> None:
    begins, ends = found.not_valid_before_utc, found.not_valid_after_utc
    if now < begins:
        raise KeyFileError(
            f"expected {file} to be valid now, {now.isoformat()}, found that it begins {begins.isoformat()}: "
            f"look at this machine's clock"
        )
    if now >= ends:
        raise KeyFileError(
            f"expected {file} to be valid now, {now.isoformat()}, found that it ended {ends.isoformat()}: make a "
            f"new one (`fleetdrill keys http`), or ask whoever issued it"
        )


def _refuse_others_purpose(found: x509.Certificate, file: Path) -> None:
    try:
        purposes = found.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return
    if ExtendedKeyUsageOID.SERVER_AUTH not in purposes:
        raise KeyFileError(
            f"expected a server's certificate in {file}, found one for other purposes (a device's?)"
        )


def _names(found: x509.Certificate) -> tuple[str, ...]:
    try:
        said = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(said.get_values_for_type(x509.DNSName))


def _context(certificate: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(certificate, key, password=lambda: b"")
    except OSError as error:  # ssl.SSLError is one
        raise KeyFileError(
            f"expected a certificate and its key in {certificate} and {key}, found: {error}"
        ) from None
    return context


def _public(key: object) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined,no-any-return]


def _instant(now_ms: int) -> datetime:
    return datetime.fromtimestamp(now_ms / 1000, UTC)


def _bytes(file: Path) -> bytes:
    try:
        if file.stat().st_size > PEM_BYTES_MAX:
            raise KeyFileError(f"expected at most {PEM_BYTES_MAX} bytes in {file}, found more")
        return file.read_bytes()
    except OSError as error:
        raise KeyFileError(f"expected a PEM file, found: {error}") from None


def _stamp(*files: Path) -> Stamp:
    try:
        told = [file.stat() for file in files]
    except OSError as error:
        raise KeyFileError(f"expected a PEM file, found: {error}") from None
    return tuple((one.st_mtime_ns, one.st_size, one.st_ino) for one in told)
