"""What a device is started with: broker address, trusted keys, agent configuration.

Decides how text and files become values, and what is refused. Leaves out the command
line (cli.py).

A device is enrolled with a root of TUF roles (``roles/root.json`` of a key ceremony), or with plain keys:
``trust.json`` is what ``fleetdrill keys init`` writes: role to public Ed25519 keys, 32 bytes in hex.

    {"targets": ["<64 hex digits>"], "director": ["..."], "flags": ["..."]}

Rules: every refusal says what was expected, what was found, and in which file or option; unknown keys are
refused, because a misspelt limit would silently be the default; secrets come from files, never from the
command line, which everybody on the machine can read.
"""

from __future__ import annotations

import os
import ssl
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from devicesdk.agent.backoff_policies import POLICIES
from devicesdk.agent.config import AgentConfig
from devicesdk.aio.port import Endpoint
from devicesdk.bundle.trust import (
    ROLE_DIRECTOR,
    ROLE_FLAGS,
    ROLE_TARGETS,
    Ed25519Verifier,
    Verifier,
)
from devicesdk.host.bounds import refusal
from devicesdk.wire.errors import ProtocolError

if TYPE_CHECKING:
    from devicesdk.bundle.trusted_set import Anchor

PORTS: Final = {"mqtt": 1883, "mqtts": 8883}
FILE_BYTES_MAX: Final = 64 * 1024
_MIB: Final = 1024**2
_SEED_BYTES: Final = 32

Key = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Keys = Annotated[tuple[Key, ...], Meta(min_length=1)]


class Adapter(StrEnum):
    """Which MQTT client carries the port."""

    LEAN = "lean"
    AIOMQTT = "aiomqtt"


class Options(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the command line said; paths as text."""

    broker: str
    device: str
    state: str
    trust: str
    username: str | None = None
    password_file: str | None = None
    password_command: str | None = None
    renew_command: str | None = None
    ca: str | None = None
    cert: str | None = None
    key: str | None = None
    hardware_class: str = "default"
    memory_mib: int | None = None
    images: str | None = None
    camera: str | None = None
    bundles: tuple[str, ...] = ()
    config: str | None = None
    interface: str = ""
    port_adapter: Adapter = Adapter.LEAN
    speed: float = 1.0
    verbose: bool = False
    notice: str | None = None


class SettingsError(ValueError):
    """An option or a file cannot be used; the message says which and what would do."""


class Trust(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose word counts for what."""

    targets: Keys
    """May sign manifests."""
    director: Keys
    """May sign this device's wants."""
    flags: Keys
    """May sign flag snapshots and kill lists."""

    def verifier(self) -> Ed25519Verifier:
        """The keys, ready to check with."""
        roles = {ROLE_TARGETS: self.targets, ROLE_DIRECTOR: self.director, ROLE_FLAGS: self.flags}
        return Ed25519Verifier(
            {role: tuple(bytes.fromhex(key) for key in keys) for role, keys in roles.items()}
        )


def read_trust(path: str) -> Trust:
    """Read ``trust.json``.

    Raises:
        SettingsError: it is not there, or does not hold the three roles.
    """
    try:
        return msgspec.json.decode(_read(path), type=Trust)
    except msgspec.MsgspecError as error:
        raise SettingsError(
            f"expected targets, director and flags in {path}, each a list of public keys of 64 hex "
            f"digits, found: {error}; fleetdrill keys init writes this file"
        ) from error


def read_enrolment(path: str) -> tuple[Verifier, Anchor | None]:
    """Read what a device is enrolled with: ``trust.json``, or the root of TUF roles.

    Returns:
        Who is believed before any root is, and the root.

    Raises:
        SettingsError: neither of the two.
    """
    data = _read(path)
    if b'"signatures"' not in data:
        return read_trust(path).verifier(), None
    from devicesdk.bundle.trusted_set import Anchor

    try:
        return Ed25519Verifier({}), Anchor(data.strip())
    except ProtocolError as error:
        raise SettingsError(
            f"expected a root in {path}, such as fleetdrill keys init --roles makes, found: {error}"
        ) from error


def read_config(path: str | None) -> AgentConfig:
    """Read an agent's configuration: JSON with the names and units of `AgentConfig`; its back-off may
    be the name of a policy (`devicesdk.agent.backoff_policies`).

    Raises:
        SettingsError: not JSON, an unknown name, a value of another type or out of its bounds (bounds.py), or
            a back-off that would give up for good.
    """
    if path is None:
        return AgentConfig()
    data = _read(path)
    try:
        said = msgspec.json.decode(data, type=dict[str, Any])
        if "backoff" in said:
            said["backoff"] = _backoff(said["backoff"])
        _known(said, AgentConfig, "")
        config = msgspec.convert(said, AgentConfig)
    except msgspec.MsgspecError as error:
        raise SettingsError(f"expected an agent configuration in {path}, found: {error}") from error
    except SettingsError as error:
        raise SettingsError(f"{path}: {error}") from error
    if refused := refusal(config):
        raise SettingsError(f"{path}: {refused}")
    return config


def _backoff(said: object) -> object:
    """A back-off by the name of its policy, or what is said with the policy filled in below it."""
    name = said.get("policy") if isinstance(said, dict) else said
    if not isinstance(name, str):
        return said
    if name not in POLICIES:
        raise SettingsError(f"expected a back-off policy: {', '.join(POLICIES)}; found {name}")
    beside = said if isinstance(said, dict) else {}
    return {**msgspec.to_builtins(POLICIES[name].config), **beside}


def _known(found: dict[str, Any], kind: type[msgspec.Struct], where: str) -> None:
    fields = {field.name: field.type for field in msgspec.structs.fields(kind)}
    for name, value in found.items():
        if name not in fields:
            raise SettingsError(
                f"expected names out of {', '.join(sorted(fields))}, found {where + name}"
            )
        inner = fields[name]
        if (
            isinstance(value, dict)
            and isinstance(inner, type)
            and issubclass(inner, msgspec.Struct)
        ):
            _known(value, inner, f"{name}.")


def read_endpoint(options: Options) -> Endpoint:
    """Make the broker's address and credentials.

    Raises:
        SettingsError: one of them cannot be used.
    """
    broker = options.broker
    parts = urlsplit(broker)
    try:
        port = parts.port
    except ValueError as error:
        raise SettingsError(f"--broker: expected a port of 1-65535 in {broker!r}") from error
    if parts.scheme not in PORTS or not parts.hostname or parts.path not in ("", "/"):
        raise SettingsError(
            f"--broker: expected mqtt://host:port or mqtts://host:port, found {broker!r}"
        )
    if parts.username or parts.password:
        raise SettingsError(
            "--broker: expected no credentials in the address, where everybody can read them; use "
            "--username and --password-file"
        )
    if (options.password_file or options.password_command) and options.username is None:
        raise SettingsError("--password-file, --password-command: expected --username with it")
    if options.password_file is not None and options.password_command is not None:
        raise SettingsError("--password-file, --password-command: expected at most one of them")
    if options.renew_command is not None and options.cert is None:
        raise SettingsError("--renew-command: expected --cert and --key with it")
    if parts.scheme == "mqtt" and (options.ca or options.cert or options.key):
        raise SettingsError("--ca, --cert, --key: expected mqtts:// with them, found mqtt://")
    return Endpoint(
        host=parts.hostname,
        port=port or PORTS[parts.scheme],
        tls=_tls(options) if parts.scheme == "mqtts" else None,
        username=options.username,
        password=None if options.password_file is None else _first_line(options.password_file),
    )


def _tls(options: Options) -> ssl.SSLContext:
    ca, cert, key = options.ca, options.cert, options.key
    if (cert is None) != (key is None):
        raise SettingsError("--cert, --key: expected both or neither")
    try:
        context = ssl.create_default_context(cafile=ca)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if cert is not None and options.renew_command is None:  # else: loaded before each connect
            context.load_cert_chain(cert, key)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(
            f"--ca {ca}, --cert {cert}, --key {key}: expected PEM files, found: {error}"
        ) from error
    return context


def _first_line(path: str) -> str:
    lines = _read(path).decode("utf-8", errors="replace").splitlines()
    if not lines or not lines[0]:
        raise SettingsError(f"expected a password in the first line of {path}, found none")
    return lines[0]


def _read(path: str) -> bytes:
    try:
        with Path(path).open("rb") as stream:
            data = stream.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise SettingsError(f"expected to read {path}, found: {error.strerror}") from error
    if len(data) > FILE_BYTES_MAX:
        raise SettingsError(f"expected at most {FILE_BYTES_MAX} bytes in {path}, found more")
    return data


def fresh_seed() -> int:
    """The luck of one run of this device, 256 bits that nobody else knows: the noise of privacy mode is as
    secret as this is. Never stored, so a copied disk does not tell it."""
    return int.from_bytes(os.urandom(_SEED_BYTES), "big")  # noqa: TID251 - the edge: it is handed in from here


def seed_of(device: str) -> int:
    """A number that is a device's own and no secret: what its drawn camera shows."""
    return int.from_bytes(sha256(b"fleetdrill/seed/" + device.encode()).digest()[:8], "big")


def machine_memory_mib() -> int:
    """The memory of this machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // _MIB
