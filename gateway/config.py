"""How a gateway is set up: one TOML file, overridden by environment variables.

Decides the sections, the names of the variables (``FLEETDRILL_BROKER_URL`` is ``url`` in ``[broker]``)
and what is refused: any key that does not exist, with the nearest one that does. Leaves out where the
file lies and what the values do.

Rules: everything has a default that works on one machine; a password is better given by the
environment than by a file, and is never shown; bounds of the three machines are set in ``[control]``,
``[transfers]``, ``[collect]`` and ``[offload]`` under the names of `gateway.core`'s limits.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Annotated, Any, Final, get_origin

import msgspec
from msgspec import Meta

from devicesdk.wire.topics import ROOT_DEFAULT
from gateway.core.collect.limits import CollectLimits
from gateway.core.gateway import GatewayConfig
from gateway.core.limits import ControlLimits
from gateway.core.offload.limits import OffloadLimits
from gateway.core.transfers.limits import TransferLimits

PREFIX: Final = "FLEETDRILL_"
CONFIG_BYTES_MAX: Final = 1024 * 1024

Positive = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(gt=0)]


class ConfigError(ValueError):
    """The configuration cannot be used; says where, what was expected and what was found."""


class RuntimeLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of the asyncio runtime; seconds here are real ones, whatever the clock's speed."""

    batch_messages_max: Positive = 512
    """Messages handled between two commits. More wait in the inbox."""
    group_commit_messages_max: Positive = 32
    """Telemetry is made durable and acknowledged when so many wait: they fill the broker's in-flight
    window, and chunk requests queue behind them."""
    group_commit_s: Seconds = 1.0
    """Or after this long."""
    held_acks_s: Seconds = 0.02
    """Or after this long when messages that came after it are dealt with: acknowledgements keep the order of
    arrival."""
    inbox_messages_max: Positive = 16_384
    """QoS 0 messages past this are dropped and counted. QoS 1 messages are bounded by
    `receive_maximum`: a port cannot be told to stop reading, but the broker stops at that many
    unacknowledged messages and queues the rest."""
    submissions_max: Positive = 1_000
    """Operators' mutations and questions that wait. Full: the next is refused."""
    unsent_bytes_max: Positive = 8 * 1024 * 1024
    """Handed to the data connection and not yet taken by the operating system. Past it rounds wait."""
    rounds_waiting_max: Positive = 1_024
    """Rounds that wait for room. Full: the newest is dropped, the device asks again."""
    round_wait_s_max: Seconds = 1.0
    """A round that waited longer is dropped: its device has asked again by then."""
    drain_s_max: Annotated[float, Meta(ge=0)] = 10.0
    """How long a graceful stop waits for acknowledgements and for rounds to leave."""
    suback_s_max: Seconds = 20.0
    """Between SUBSCRIBE and SUBACK; later is a lost connection."""


class GatewaySection(msgspec.Struct, frozen=True, kw_only=True):
    """``[gateway]``."""

    root: str = ROOT_DEFAULT
    """Topic root of the tenant."""
    keys: str = ""
    """Folder of signing keys; empty: ``keys`` in the state folder."""
    database: str = ""
    """SQLAlchemy URL; empty: SQLite in the state folder."""


class BrokerSection(msgspec.Struct, frozen=True, kw_only=True):
    """``[broker]``."""

    url: str = "auto"
    """``auto`` finds or starts one; else such as ``mqtts://broker.example:8883``."""
    port: Annotated[int, Meta(ge=0, le=65_535)] = 0
    """Where a broker that we start listens; 0: a free port, kept in the state folder from then on, so that
    devices find it again."""
    certificates: str = ""
    """For ``mqtts://``: folder with ``ca.crt`` and a client certificate for each of the gateway's
    users (``fleetdrill keys init --tls``); empty trusts the system's authorities."""
    username: str = ""
    """Of both connections, where a broker asks for a name and a password."""
    password: str = ""
    client_id: str = "fleetdrill-gateway"
    """``-control`` and ``-data`` are added. Two gateways with one id throw each other out."""
    keepalive_s: Annotated[int, Meta(ge=5, le=65_535)] = 30
    session_expiry_s: Annotated[int, Meta(ge=0)] = 24 * 3600
    """How long the broker queues for a gateway that is away."""
    receive_maximum: Annotated[int, Meta(ge=1, le=65_535)] = 1_024
    """Messages received and not acknowledged: the bound of the inbox for QoS 1."""


class MetricsSection(msgspec.Struct, frozen=True, kw_only=True):
    """``[metrics]``."""

    host: str = "127.0.0.1"
    """There is no password: beyond loopback only inside a network that is trusted."""
    port: Annotated[int, Meta(ge=0, le=65_535)] = 0
    """Where Prometheus asks for ``/metrics``; 0: nowhere."""


class HttpSection(msgspec.Struct, frozen=True, kw_only=True):
    """``[http]``."""

    host: str = "127.0.0.1"
    """Beyond loopback give a certificate, too: tokens would be read on the way."""
    enabled: bool = True
    port: Annotated[int, Meta(ge=0, le=65_535)] = 8140
    """Of API and console; 0: one that is free, told in ``http.url`` of the state folder."""
    certificate: str = ""
    """PEM file; empty: plain HTTP."""
    key: str = ""
    """Its private key, PEM."""
    hosts: tuple[str, ...] = ()
    """Names by which this gateway is asked, beside loopback's, its addresses, and its certificate's. Others are
    refused (421): a browser may be told by a stranger's DNS that we are them."""
    proxies: tuple[str, ...] = ()
    """Addresses of proxies whose X-Forwarded-For and X-Forwarded-Proto are believed."""
    requests_per_s_max: Annotated[float, Meta(gt=0, le=100_000)] = 200.0
    """Of one token, in the long run. Past it: 429."""
    requests_burst_max: Annotated[int, Meta(ge=1, le=1_000_000)] = 400
    """Of one token, at once."""
    failures_per_s_max: Annotated[float, Meta(gt=0, le=100_000)] = 1.0
    """Requests of one address without a good token, in the long run. Past it 401 becomes 429."""
    failures_burst_max: Annotated[int, Meta(ge=1, le=1_000_000)] = 30
    connections_max: Annotated[int, Meta(ge=1, le=65_535)] = 256
    """Past it a request is told to come later (503); past a quarter more, connections are closed at once."""
    connections_peer_max: Annotated[int, Meta(ge=1, le=65_535)] = 128
    """Of one address, likewise."""
    head_s_max: Seconds = 10.0
    """How long a TLS handshake, and a request's head, may take; then the connection is closed."""
    send_s_max: Seconds = 30.0
    """How long an answer may wait for its reader; then the connection is closed."""
    body_s_max: Seconds = 20.0
    """How long a JSON body may take to come: 408."""
    upload_idle_s_max: Seconds = 30.0
    """How long an upload may be silent: 408; what came is kept."""
    uploads_max: Annotated[int, Meta(ge=1, le=1_000)] = 4
    """Uploads at once. Full: 503."""
    upload_parts_max: Annotated[int, Meta(ge=1, le=10_000)] = 64
    """Blobs of which a part is here. Full: the part that was written to longest ago goes."""
    events_clients_max: Annotated[int, Meta(ge=1, le=10_000)] = 32
    """Listeners to events. Full: 503."""
    events_look_s: Seconds = 1.0
    """Events are told at most this often."""
    events_beat_s: Seconds = 15.0
    """A silent stream says at least this often that it is there."""


class SecuritySection(msgspec.Struct, frozen=True, kw_only=True):
    """``[security]``."""

    second_person: tuple[str, ...] = ()
    """Verbs, such as ``rollout.create``, that somebody else than the asker must approve."""


class LogSection(msgspec.Struct, frozen=True, kw_only=True):
    """``[log]``."""

    level: Annotated[str, Meta(pattern="^(DEBUG|INFO|WARNING|ERROR)$")] = "INFO"
    json: bool = False


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """The whole configuration."""

    gateway: GatewaySection = GatewaySection()
    broker: BrokerSection = BrokerSection()
    log: LogSection = LogSection()
    metrics: MetricsSection = MetricsSection()
    http: HttpSection = HttpSection()
    security: SecuritySection = SecuritySection()
    runtime: RuntimeLimits = RuntimeLimits()
    control: ControlLimits = ControlLimits()
    transfers: TransferLimits = TransferLimits()
    collect: CollectLimits = CollectLimits()
    offload: OffloadLimits = OffloadLimits()

    def core(self) -> GatewayConfig:
        """What the gateway core takes."""
        return GatewayConfig(
            self.gateway.root, self.control, self.transfers, self.collect, self.offload
        )


_SECTIONS: Final[dict[str, type[msgspec.Struct]]] = {
    field.name: field.type for field in msgspec.structs.fields(Config)
}
_INHERITED: Final = {
    "control": ("root",),
    "transfers": ("root",),
    "collect": ("root",),
    "offload": ("root",),
}
"""Keys of a section's type that are set elsewhere."""


def load_config(text: str = "", env: Mapping[str, str] | None = None, name: str = "") -> Config:
    """Read a configuration.

    Args:
        text: the TOML file's content.
        env: environment variables; those without the prefix are not looked at.
        name: the file's name, for messages.

    Raises:
        ConfigError: not TOML, an unknown key, or a value out of its bounds.
    """
    if len(text) > CONFIG_BYTES_MAX:
        raise ConfigError(f"expected at most {CONFIG_BYTES_MAX} characters, found {len(text)}")
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(
            f"expected TOML in {name or 'the configuration'}, found: {error}"
        ) from None
    made: dict[str, Any] = {}
    for section, values in document.items():
        _check_section(section, values, name)
        made[section] = _converted(section, values, f"[{section}] of {name or 'the file'}")
    for variable, word in sorted((env or {}).items()):
        if variable.startswith(PREFIX):
            section, key = _named(variable)
            before = msgspec.structs.asdict(made.get(section, _SECTIONS[section]()))
            value = word.split(",") if _is_tuple(section, key) else word
            made[section] = _converted(section, before | {key: value}, variable, shown=False)
    return Config(**made)


def _keys(section: str) -> list[str]:
    hidden = _INHERITED.get(section, ())
    return [f.name for f in msgspec.structs.fields(_SECTIONS[section]) if f.name not in hidden]


def _check_section(section: str, values: Any, name: str) -> None:
    where = f"in {name}" if name else "in the configuration"
    if section not in _SECTIONS:
        raise ConfigError(_unknown(f"[{section}]", section, list(_SECTIONS), f"a section {where}"))
    if not isinstance(values, dict):
        raise ConfigError(f"expected a section [{section}] {where}, found {values!r}")
    for key in values:
        if key not in _keys(section):
            place = f"a key of [{section}] {where}"
            raise ConfigError(_unknown(repr(key), key, _keys(section), place))


def _unknown(shown: str, found: str, known: list[str], what: str) -> str:
    near = get_close_matches(found, known, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
    return f"expected {what}, found {shown}: {hint}"


def _converted(section: str, values: dict[str, Any], where: str, *, shown: bool = True) -> Any:
    try:
        return msgspec.convert(values, _SECTIONS[section], strict=shown)
    except msgspec.ValidationError as error:
        raise ConfigError(f"expected other values in {where}: {error}") from None


def _named(variable: str) -> tuple[str, str]:
    """Section and key that an environment variable stands for."""
    known = {
        f"{PREFIX}{section}_{key}".upper(): (section, key)
        for section in _SECTIONS
        for key in _keys(section)
    }
    found = known.get(variable)
    if found is None:
        raise ConfigError(_unknown(variable, variable, list(known), "an environment variable"))
    return found


def _is_tuple(section: str, key: str) -> bool:
    fields = msgspec.structs.fields(_SECTIONS[section])
    return any(field.name == key and get_origin(field.type) is tuple for field in fields)
