"""What every mosquitto of ours is told, whether it serves one run or a whole plant.

Decides the limits and the text of a run's configuration. Leaves out the production configuration,
``mosquitto/mosquitto.conf``, which states the same limits with reasons: a test holds the two
together.

Rules: never more than one broker's memory can hold; nothing listens beyond loopback unless asked to.
"""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import Final

import msgspec

INFLIGHT_MESSAGES_MAX: Final = 100
"""QoS 1 messages under way to one client."""
QUEUE_MESSAGES_MAX: Final = 100_000
"""Messages kept for one absent or slow client; further ones are dropped, and answered "success". A burst of a whole
fleet must fit: while it lasts mosquitto reads hardly any of the gateway's PUBACKs (ADR 26)."""
QUEUE_BYTES_MAX: Final = 64 * 1024 * 1024
"""The same bound in bytes: so many packets of the greatest size would be 26 GB a client."""
PACKET_BYTES_MAX: Final = 262_144
"""Twice the largest chunk (128 KiB), so that no protocol message comes near."""
SESSION_EXPIRY: Final = "14d"
AUTOSAVE_S: Final = 10
"""Between two saves. By time, because each writes everything that the broker holds: saved by the number of changes,
a fleet twice as large costs it four times as much (ADR 26). In whole seconds, so it saves every eleven. What ``kill -9`` may cost is what was
acknowledged since; the gateway says again what it must not lose."""


class ServerTls(msgspec.Struct, frozen=True, kw_only=True):
    """Files with which a listener proves who it is; PEM."""

    ca: Path
    certificate: Path
    key: Path
    client_certificates: bool = True
    """Demand a client certificate of `ca`, whose common name is the user's name."""


class RunSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What may differ from run to run."""

    host: str = "127.0.0.1"
    port: int
    persistence: bool = True
    autosave_changes: int | None = None
    """Changes between saves; 1 saves at the end of every turn of the broker's loop. None saves every `AUTOSAVE_S`."""
    tls: ServerTls | None = None
    passwords: Path | None = None
    """File of mosquitto_passwd; then nobody is anonymous."""
    acl: Path | None = None
    bind_names: bool = False
    """Take the user's name for the client id, so that nobody can take over another's session."""


def run_config(settings: RunSettings, folder: Path) -> str:
    """The text of ``mosquitto.conf`` for a run that keeps its state in `folder`."""
    named = settings.passwords is not None or _certified(settings)
    lines = [
        f"listener {settings.port} {settings.host}",
        f"allow_anonymous {_yes(not named)}",
        f"user {getpass.getuser()}",  # else one started by root would give up its own folder
        f"persistence {_yes(settings.persistence)}",
        f"persistence_location {folder}/",
        f"autosave_on_changes {_yes(settings.autosave_changes is not None)}",
        f"autosave_interval {settings.autosave_changes or AUTOSAVE_S}",
        f"max_inflight_messages {INFLIGHT_MESSAGES_MAX}",
        f"max_queued_messages {QUEUE_MESSAGES_MAX}",
        f"max_queued_bytes {QUEUE_BYTES_MAX}",
        f"max_packet_size {PACKET_BYTES_MAX}",
        f"persistent_client_expiration {SESSION_EXPIRY}",
        "set_tcp_nodelay true",
        "log_dest stderr",
        "log_timestamp_format %Y-%m-%dT%H:%M:%S",
        "log_type error",
        "log_type warning",
        "log_type notice",
        "log_type information",
        f"connection_messages {_yes(named)}",
    ]
    if settings.tls is not None:
        lines += _tls_lines(settings.tls)
    if settings.passwords is not None:
        lines.append(f"password_file {settings.passwords.absolute()}")
    if settings.acl is not None:
        lines.append(f"acl_file {settings.acl.absolute()}")
    if settings.bind_names and named:
        lines.append("use_username_as_clientid true")
    return "\n".join(lines) + "\n"


def _tls_lines(tls: ServerTls) -> list[str]:
    return [
        f"cafile {tls.ca.absolute()}",
        f"certfile {tls.certificate.absolute()}",
        f"keyfile {tls.key.absolute()}",
        "tls_version tlsv1.2",
        f"require_certificate {_yes(tls.client_certificates)}",
        f"use_identity_as_username {_yes(tls.client_certificates)}",
    ]


def _certified(settings: RunSettings) -> bool:
    return settings.tls is not None and settings.tls.client_certificates


def _yes(flag: bool) -> str:  # noqa: FBT001 - a spelling of truth
    return "true" if flag else "false"
