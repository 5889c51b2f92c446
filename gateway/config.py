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
from typing import Annotated, Any, Final, Literal, get_origin

import msgspec
from msgspec import Meta

from devicesdk.wire.timebase import DAY, SECOND
from devicesdk.wire.topics import ROOT_DEFAULT
from gateway.core.alarms.limits import AlarmLimits
from gateway.core.alarms.rules import rules_of
from gateway.core.collect.limits import CollectLimits
from gateway.core.gateway import GatewayConfig
from gateway.core.limits import ControlLimits
from gateway.core.offload.limits import OffloadLimits
from gateway.core.rehearsals.job import SEEDS_MAX
from gateway.core.transfers.limits import TransferLimits

PREFIX: Final = "FLEETDRILL_"
CLIENT_VARIABLES: Final = frozenset(
    {"FLEETDRILL_URL", "FLEETDRILL_TOKEN", "FLEETDRILL_TOKEN_FILE", "FLEETDRILL_CA"}
)
"""What commands read that ask a gateway (gateway/client/reach.py): nothing that one is set up by."""
CONFIG_BYTES_MAX: Final = 1024 * 1024

Positive = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(gt=0)]


class ConfigError(ValueError):
    """The configuration cannot be used; says where, what was expected and what was found."""


class RuntimeLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of the asyncio runtime; seconds here are real ones, whatever the clock's speed."""

    batch_messages_max: Positive = 512
    """Messages handled between two commits. More wait in the inbox."""
    commit_rest_s: Annotated[float, Meta(ge=0, le=1)] = 0.005
    """What comes within this of the beginning of a commit is collected for the next: a commit takes about a
    millisecond, and meanwhile nothing is answered. Operators' requests and timers do not wait for it; chunk
    requests and acknowledgements do. 0: as soon as the commit is done."""
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
    archive_bytes_max: Annotated[int, Meta(ge=1024, le=512 * 1024 * 1024)] = 64 * 1024 * 1024
    """Of a bundle's archive that is opened here, in memory, `uploads_max` at a time. A larger one: 413, and the command
    line opens it where it is."""
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


Percent = Annotated[int, Meta(ge=0, le=100)]
Days = Annotated[int, Meta(ge=0, le=3_660)]


class AlarmsSection(msgspec.Struct, frozen=True, kw_only=True):
    """``[alarms]``: what is one, and who is told. An alarm is raised at ``_raise``, cleared at ``_clear``."""

    enabled: bool = True
    off: tuple[str, ...] = ()
    """Kinds that are never raised, such as ``drift``."""
    look_s: Seconds = 5.0
    """How often the core's own conditions are looked at."""
    probe_s: Seconds = 60.0
    """How often disk, certificates, roles and a part of the audit log are."""
    audit_s: Seconds = 3_600.0
    """How long after its end the audit log is read from its beginning again."""
    broker_s: Seconds = 30.0
    """So long without the broker."""
    offline_percent_raise: Percent = 20
    offline_percent_clear: Percent = 10
    offline_percent_critical: Percent = 50
    offline_s: Seconds = 300.0
    offline_devices_min: Positive = 5
    """A smaller fleet has no share that means anything."""
    halted_days_max: Days = 7
    """A rollout that was halted longer ago is nobody's news."""
    expiry_days_raise: Days = 21
    expiry_days_critical: Days = 7
    disk_percent_raise: Percent = 10
    """Of free space; it is cleared at `disk_percent_clear`."""
    disk_percent_clear: Percent = 15
    disk_percent_critical: Percent = 5
    outbox_messages_raise: Positive = 10_000
    """Retained messages that the broker has not taken."""
    outbox_messages_clear: Annotated[int, Meta(ge=0)] = 5_000
    outbox_s: Seconds = 300.0
    calm_s: Seconds = 60.0
    """A condition must have been good so long before its alarm is cleared; of one that flaps twice as long each
    time, up to `calm_s_max`."""
    calm_s_max: Seconds = 3_600.0
    flap_s: Seconds = 900.0
    """Raised again within so long of its end, it is the same alarm."""
    each_max: Positive = 100
    """Open alarms of one kind. Full: further subjects are counted by one of the kind ``alarms_full``."""
    kept_max: Positive = 500
    """Alarms that are over and kept. Full: the oldest is forgotten."""
    mqtt: bool = False
    """Whether alarms are published below ``{root}/a/``, retained."""
    webhook_url: str = ""
    """Where events are posted; empty: nowhere."""
    webhook_secret_file: str = ""
    """Its secret, for the signature; owner-only."""
    webhook_ca: str = ""
    """PEM file of the authority that vouches for it; empty: the system's."""
    webhook_timeout_s: Seconds = 10.0
    webhook_retry_s_min: Seconds = 1.0
    webhook_retry_s_max: Seconds = 300.0
    """Between two attempts, with jitter."""
    webhook_give_up_s: Seconds = 86_400.0
    """An event that was not taken for so long is dropped."""
    webhook_waiting_max: Positive = 1_000
    """Events that wait. Full: the oldest is dropped."""

    def limits(self) -> AlarmLimits:
        """What the core takes.

        Raises:
            ValueError: thresholds that contradict each other.
        """
        found = AlarmLimits(
            off=self.off,
            look_ns=_ns(self.look_s),
            broker_ns=_ns(self.broker_s),
            offline_percent_raise=self.offline_percent_raise,
            offline_percent_clear=self.offline_percent_clear,
            offline_percent_critical=self.offline_percent_critical,
            offline_ns=_ns(self.offline_s),
            offline_devices_min=self.offline_devices_min,
            halted_ns_max=self.halted_days_max * DAY,
            expiry_days_raise=self.expiry_days_raise,
            expiry_days_clear=self.expiry_days_raise + 1,
            expiry_days_critical=self.expiry_days_critical,
            disk_percent_raise=self.disk_percent_raise,
            disk_percent_clear=self.disk_percent_clear,
            disk_percent_critical=self.disk_percent_critical,
            outbox_rows_raise=self.outbox_messages_raise,
            outbox_rows_clear=self.outbox_messages_clear,
            outbox_ns=_ns(self.outbox_s),
            calm_ns=_ns(self.calm_s),
            calm_ns_max=_ns(self.calm_s_max),
            flap_ns=_ns(self.flap_s),
            each_max=self.each_max,
            kept_max=self.kept_max,
            deliveries_max=self.webhook_waiting_max,
            webhook=bool(self.webhook_url),
            mqtt=self.mqtt,
        )
        rules_of(found)
        return found


def _ns(seconds: float) -> int:
    return round(seconds * SECOND)


class RehearsalSection(msgspec.Struct, frozen=True, kw_only=True):
    """``[rehearsal]``."""

    gate: Literal["off", "advised", "required"] = "advised"
    """``required``: no rollout begins unless a rehearsal of exactly its plan and bundle has held; ``advised``: the
    console says so where none has. ``required`` also sends devices back only to what they themselves said they ran."""
    enabled: bool = True
    command: tuple[str, ...] = ()
    """What is started; empty: ``fleetdrill rehearse --stdin`` of this very installation, if it has the simulator."""
    seeds: Annotated[int, Meta(ge=1, le=SEEDS_MAX)] = 3
    """How many virtual fleets, each with luck of its own."""
    devices_min: Annotated[int, Meta(ge=1, le=100_000)] = 200
    """Smaller fleets are rehearsed with so many devices of the same shape."""
    devices_max: Annotated[int, Meta(ge=1, le=100_000)] = 1_000
    """Larger ones with so many."""
    good_s_max: Seconds = 7 * 24 * 3600.0
    """How long a rehearsal that held counts."""
    wall_s_max: Seconds = 900.0
    """How long one may take; then it is ended, without a verdict."""
    memory_mib_max: Annotated[int, Meta(ge=64, le=1_000_000)] = 2_048
    """What one may allocate."""


class TelemetrySection(msgspec.Struct, frozen=True, kw_only=True):
    """``[telemetry]``: spans for OpenTelemetry."""

    otlp_endpoint: str = ""
    """Where spans are sent by OTLP over HTTP, such as ``http://127.0.0.1:4318``; empty: nowhere."""
    service_name: Annotated[str, Meta(min_length=1, max_length=100)] = "fleetdrill-gateway"
    sample: Annotated[float, Meta(ge=0, le=1)] = 1.0
    """Which part of the traces is told, of those that begin here. Who sends a ``traceparent`` has decided already."""
    timeout_s: Annotated[float, Meta(ge=0.1, le=60)] = 5.0
    """How long the collector may take to take a batch; then it is lost, and counted."""
    queue_spans_max: Annotated[int, Meta(ge=1, le=1_000_000)] = 2_048
    """Spans that wait. Full: the newest is dropped, and counted."""


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
    alarms: AlarmsSection = AlarmsSection()
    rehearsal: RehearsalSection = RehearsalSection()
    telemetry: TelemetrySection = TelemetrySection()
    runtime: RuntimeLimits = RuntimeLimits()
    control: ControlLimits = ControlLimits()
    transfers: TransferLimits = TransferLimits()
    collect: CollectLimits = CollectLimits()
    offload: OffloadLimits = OffloadLimits()

    def core(self) -> GatewayConfig:
        """What the gateway core takes."""
        return GatewayConfig(
            self.gateway.root, self.control, self.transfers, self.collect, self.offload,
            alarms=self.alarms.limits() if self.alarms.enabled else None,
            said_only=self.rehearsal.gate == "required",
        )  # fmt: skip


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
        if variable.startswith(PREFIX) and variable not in CLIENT_VARIABLES:
            section, key = _named(variable)
            before = msgspec.structs.asdict(made.get(section, _SECTIONS[section]()))
            value = word.split(",") if _is_tuple(section, key) else word
            made[section] = _converted(section, before | {key: value}, variable, shown=False)
    config = Config(**made)
    try:
        config.alarms.limits()
    except ValueError as error:
        raise ConfigError(f"{error}: change [alarms]") from None
    return config


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
