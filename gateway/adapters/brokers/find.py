"""Which broker is used: a URL says it.

Decides between ``auto`` (mosquitto when it is installed, else the embedded broker, and we say which
and what it lacks), ``mosquitto``, ``embedded``, and somebody else's at ``mqtt://`` or ``mqtts://``.
Leaves out starting them (mosquitto.py, embedded.py).

Rules: a broker that was named is used or it is an error, never replaced by another; the scheme
``mqtts`` checks the broker's certificate and name.
"""

from __future__ import annotations

import logging
import ssl
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from msgspec.structs import replace

from devicesdk.aio.port import Endpoint
from gateway.adapters.brokers.embedded import start_embedded
from gateway.adapters.brokers.mosquitto import find_mosquitto, start_mosquitto
from gateway.adapters.brokers.process import BrokerError
from gateway.adapters.brokers.running import RunningBroker
from gateway.adapters.certificates import client_context, client_pair

PORTS: Final = {"mqtt": 1883, "mqtts": 8883}
KINDS: Final = ("auto", "mosquitto", "embedded")

_log: Final = logging.getLogger(__name__)


async def open_broker(
    url: str,
    folder: Path,
    *,
    port: int = 0,
    persistence: bool = True,
    autosave_changes: int | None = None,
    certificates: Path | None = None,
) -> RunningBroker:
    """Start or name the broker that `url` asks for.

    Args:
        url: ``auto``, ``mosquitto``, ``embedded``, ``mqtt://[user:password@]host[:port]`` or
            ``mqtts://...``.
        folder: where one that we start keeps configuration, log and sessions.
        port: where one that we start listens; 0 for a free port.
        persistence: whether one that we start keeps sessions on the disk.
        autosave_changes: after so many changes a mosquitto that we start saves them; None saves by time.
        certificates: for ``mqtts://``: a folder ``tls`` (gateway/adapters/certificates.py) whose
            ``ca.crt`` is trusted and which has a client certificate for each user; None trusts the
            system's authorities and shows no certificate.

    Returns:
        A broker that listens, if it is ours; nobody has asked somebody else's.

    Raises:
        BrokerError: not a URL that we know, or the broker did not start.
        KeyFileError: no authority in `certificates`.
    """
    if url not in KINDS:
        endpoint = endpoint_of(url, certificates)
        return RunningBroker(
            f"broker at {endpoint.host}:{endpoint.port}", endpoint, certificates=certificates
        )
    if certificates is not None:
        raise BrokerError(
            f"expected the mqtts:// URL of a broker for the certificates in {certificates}, found {url}"
        )
    if url == "mosquitto" or (url == "auto" and find_mosquitto()):
        broker = await start_mosquitto(
            folder, port=port, persistence=persistence, autosave_changes=autosave_changes
        )
    else:
        broker = await start_embedded(folder, port=port)
    _log.info("broker: %s at %s, log in %s", broker.name, broker.url, broker.log)
    for lack in broker.lacks:
        _log.warning("%s: %s", broker.name, lack)
    if url == "auto" and broker.lacks:
        _log.warning("for all of these: apt-get install mosquitto")
    return broker


def endpoint_of(url: str, certificates: Path | None = None) -> Endpoint:
    """The endpoint that ``mqtt://[user:password@]host[:port]`` or ``mqtts://...`` names.

    Raises:
        BrokerError: not such a URL, or certificates for one without TLS.
        KeyFileError: no authority in `certificates`.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port, parts = None, None, urlsplit("")
    if parts.scheme not in PORTS or not host or parts.path.strip("/") or parts.query:
        raise BrokerError(
            f"expected one of {', '.join(KINDS)}, mqtt://host[:port] or mqtts://host[:port] for the "
            f"broker, found {_shown(url)!r}"
        )
    secure = parts.scheme == "mqtts"
    if certificates is not None and not secure:
        raise BrokerError(
            f"expected mqtts:// for a broker with certificates, found {_shown(url)!r}"
        )
    return Endpoint(
        host=host,
        port=port or PORTS[parts.scheme],
        tls=_trusting(certificates) if secure else None,
        username=None if parts.username is None else unquote(parts.username),
        password=None if parts.password is None else unquote(parts.password),
    )


def endpoint_as(user: str, url: str, certificates: Path | None = None) -> Endpoint:
    """The same as `endpoint_of`, for a client that proves to be `user` where the folder has its certificate.

    Raises:
        BrokerError: as `endpoint_of`.
        KeyFileError: no authority in `certificates`, or a certificate that cannot be used.
    """
    found = endpoint_of(url, certificates)
    if certificates is None or not client_pair(certificates, user).certificate.exists():
        return found
    return replace(
        found, tls=client_context(certificates / "ca.crt", client_pair(certificates, user))
    )


def _shown(url: str) -> str:
    """An address without its password: people paste errors into tickets."""
    before, at, host = url.rpartition("@")
    scheme, there, _ = before.partition("://")
    return f"{scheme}://***@{host}" if at and there else (f"***@{host}" if at else url)


def _trusting(certificates: Path | None) -> ssl.SSLContext:
    if certificates is None:
        return ssl.create_default_context()
    return client_context(certificates / "ca.crt")
