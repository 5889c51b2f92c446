"""Short-lived credentials, fetched when they are needed: a password, a client certificate.

Decides when somebody is asked for a new one: a password before each connect, a certificate when the one in
the file has little time left. Leaves out who is asked: a program of the device's owner, which may ask a
secure element, a token service or a file.

Rules: a program is an argument list, never a shell's, has a time and a size limit and no input; a secret is
never an argument, never logged and never kept longer than the connection that it is for; what could not be
fetched is said, and the connect is tried with what there is: the broker decides, and the agent backs off.
Programs are run while there is no connection, so nothing waits for them but the connect.
"""

from __future__ import annotations

import logging
import shlex
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from ssl import SSLContext, SSLError
from typing import Final

from msgspec.structs import replace

from devicesdk.aio.port import Endpoint

TIMEOUT_S: Final = 10.0
SECRET_BYTES_MAX: Final = 16 * 1024
RENEW_BEFORE_MS: Final = 60 * 60 * 1000
"""A certificate that ends sooner than this is renewed first."""
_MS: Final = 1000
_log = logging.getLogger("fleetdrill.device")


class CredentialError(RuntimeError):
    """A program did not give what it should; the message never has what it gave."""


class Credentials:
    """What is done before each connect.

    Args:
        wall_ms: wall-clock UTC.
        password_command: writes the password to its output, first line.
        renew_command: puts a new certificate and key into their files.
        certificate: the certificate's file (PEM), where there is one.
        key: its private key's file.

    Raises:
        CredentialError: a command is no argument list.
    """

    def __init__(
        self,
        wall_ms: Callable[[], int],
        *,
        password_command: str | None = None,
        renew_command: str | None = None,
        certificate: str | None = None,
        key: str | None = None,
    ) -> None:
        self._wall_ms = wall_ms
        self._password_command = _arguments(password_command)
        self._renew_command = _arguments(renew_command)
        self._certificate, self._key = certificate, key
        self._loaded: bytes | None = None

    def refresh(self, endpoint: Endpoint) -> Endpoint:
        """The endpoint with credentials of this moment; what could not be fetched is left as it was."""
        if endpoint.tls is not None and self._certificate is not None:
            try:
                self._renew(endpoint.tls, Path(self._certificate))
            except (CredentialError, OSError, SSLError, ValueError) as error:
                _log.warning("certificate=kept why=%s", error)
        if self._password_command:
            try:
                return replace(endpoint, password=first_line(run(self._password_command)))
            except (CredentialError, OSError) as error:
                _log.warning("password=missing why=%s", error)
        return endpoint

    def _renew(self, context: SSLContext, file: Path) -> None:
        """Renew the certificate when it ends soon, and use what is in the file now."""
        if self._renew_command and self._ends_ms(file) - self._wall_ms() < RENEW_BEFORE_MS:
            run(self._renew_command)
            _log.info("certificate=renewed file=%s", file)
        content = file.read_bytes()
        if content != self._loaded:
            context.load_cert_chain(file, self._key)
            self._loaded = content

    @staticmethod
    def _ends_ms(file: Path) -> int:
        """When the certificate in a file ends; one that is not there has ended."""
        from cryptography import x509

        if not file.exists():
            return 0
        ends = x509.load_pem_x509_certificate(file.read_bytes()).not_valid_after_utc
        return int((ends - datetime.fromtimestamp(0, UTC)).total_seconds()) * _MS


def _arguments(command: str | None) -> tuple[str, ...]:
    try:
        words = tuple(shlex.split(command or ""))
    except ValueError as error:
        raise CredentialError(f"expected an argument list in {command!r}: {error}") from error
    if command is not None and not words:
        raise CredentialError("expected a program, found an empty command")
    return words


def run(command: tuple[str, ...]) -> bytes:
    """Run a program; returns its output.

    Raises:
        CredentialError: it failed, took too long or said too much.
        OSError: it cannot be started.
    """
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        # From None: the exception has the output, and the output is a secret.
        raise CredentialError(
            f"expected {command[0]} to end within {TIMEOUT_S} s, found it running"
        ) from None
    if done.returncode:
        raise CredentialError(f"expected {command[0]} to succeed, found exit {done.returncode}")
    if len(done.stdout) > SECRET_BYTES_MAX:
        raise CredentialError(f"expected at most {SECRET_BYTES_MAX} bytes of {command[0]}")
    return done.stdout


def first_line(output: bytes) -> str:
    """The first line of a program's output.

    Raises:
        CredentialError: there is none, or it is not text.
    """
    try:
        lines = output.decode("utf-8").splitlines()
    except UnicodeDecodeError:
        raise CredentialError("expected text, found other bytes") from None
    if not lines or not lines[0]:
        raise CredentialError("expected a password in the first line, found none")
    return lines[0]
