"""A gateway as a process: everything it needs, found or made, in a state folder.

Decides the folder's layout and the order of beginnings and ends. Leaves out all work.

    gateway.db     rows (SQLite), unless another database is named
    blobs/         what devices fetch
    keys/          director.key and flags.key; trust.json names the targets keys too; snapshot.key and
                   timestamp.key where devices go by roles
    broker/        of a broker that we start
    gateway.sock   the operator's door
    admin.token    the first token of the HTTP API
    http.url       where the API listens
    rehearsals/    what the newest rehearsals left: scenario, bundles, reports
    audit.heads    signed heads of the audit log, one a minute in which it grew

In keys/, audit.key signs the audit log's heads, and audit-trust.json verifies them.

Rules: SIGTERM and SIGINT end it gracefully, a second one at once; whatever else ends it ends it with
an error, and starting it again restores what was durable.
"""

from __future__ import annotations

import asyncio
import getpass
import json
import logging
import signal
from collections.abc import Callable
from contextlib import AsyncExitStack
from itertools import count
from pathlib import Path
from typing import Final

from msgspec.structs import replace
from threadpoolctl import threadpool_limits

from devicesdk.aio.aiomqtt_port import AiomqttPort
from devicesdk.aio.clock import Clock
from devicesdk.aio.lean import LeanPort
from devicesdk.aio.port import Endpoint
from devicesdk.bundle.trust import (
    ROLE_DIRECTOR,
    ROLE_FLAGS,
    ROLE_TARGETS,
    Ed25519Signer,
    Ed25519Verifier,
)
from devicesdk.wire.topics import Topics
from gateway.adapters.alarm_metrics import AlarmsCollector
from gateway.adapters.blobs import FileBlobs
from gateway.adapters.brokers.acl import CONTROL, DATA, MONITOR
from gateway.adapters.brokers.drops import DropWatch
from gateway.adapters.brokers.find import open_broker
from gateway.adapters.brokers.running import RunningBroker
from gateway.adapters.ceremony import online_roles
from gateway.adapters.heads import HeadFile
from gateway.adapters.http_tls import HttpTls
from gateway.adapters.keys import (
    AUDIT_TRUST_FILE,
    EVERYBODY_READS,
    OWNER_ONLY,
    TRUST_FILE,
    KeyFileError,
    finish_together,
    key_file,
    read_signer,
    read_trust,
    write_new,
    write_together,
)
from gateway.adapters.metrics import MetricsServer
from gateway.adapters.rehearsing import FOLDER as REHEARSALS_FOLDER
from gateway.adapters.rehearsing import Bounds, Rehearsing, usual_command
from gateway.adapters.storage import SqlStorage, sqlite_url
from gateway.adapters.tenure import RUN_BYTES, begin, shared
from gateway.adapters.trace_metrics import TracesCollector
from gateway.adapters.uploads import FOLDER as UPLOADS_FOLDER
from gateway.adapters.uploads import Uploads
from gateway.adapters.zones import SystemZones
from gateway.api.app import make_app
from gateway.api.desk import Service
from gateway.api.server import HttpServer
from gateway.config import (
    BrokerSection,
    Config,
    ConfigError,
    HttpSection,
    RehearsalSection,
    TelemetrySection,
)
from gateway.core.access.roles import Role
from gateway.core.access.tokens import LIFE_MS_MAX, Asker
from gateway.core.audit.chain import ROLE_AUDIT
from gateway.core.audit.journal import Journal
from gateway.core.audit.rows import HEAD
from gateway.core.gateway import Gateway
from gateway.core.recovery import BY_RESTORE
from gateway.ports import AlarmTally, StorageError, Tracing, Untraced
from gateway.runtime.chronicle import Chronicle
from gateway.runtime.door import DOOR_FILE, Door
from gateway.runtime.life import Ports
from gateway.runtime.logs import say
from gateway.runtime.lookout import Lookout, make_lookout
from gateway.runtime.office import Local, Office
from gateway.runtime.operator import Operator
from gateway.runtime.runtime import Runtime
from gateway.runtime.tracing import ATTRIBUTES
from gateway.runtime.witness import Witness

PORT_FILE: Final = "broker.port"
"""Port of the broker that we started."""
BLOBS_FOLDER: Final = "blobs"
KEYS_FOLDER: Final = "keys"
SEED_BYTES: Final = 32
ENTROPY_BYTES: Final = 72
TOKEN_FILE: Final = "admin.token"  # noqa: S105 - a name
"""The first token, for the owner of the state folder."""
URL_FILE: Final = "http.url"
FIRST: Final = "first"
LEASE_LOOK_S: Final = 2.0
"""How often a gateway whose lease is a connection looks whether it is there."""
LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")


async def serve(config: Config, state: Path, clock: Clock, source: Callable[[int], bytes]) -> None:
    """Run a gateway until somebody asks for its end.

    Args:
        config: its configuration.
        state: its folder, which exists.
        clock: real time.
        source: gives so many unguessable bytes: for keys, where there are none yet, tokens, and jitter.

    Raises:
        Exception: what ended it, if nobody asked for the end.
    """
    entropy = source(ENTROPY_BYTES)
    async with AsyncExitStack() as stack:
        # Our products of matrices are small: other threads of BLAS would spin for work that never comes.
        stack.enter_context(threadpool_limits(limits=1, user_api="blas"))
        storage = SqlStorage(config.gateway.database or sqlite_url(state / "gateway.db"))
        stack.callback(storage.close)
        blobs = FileBlobs(state / BLOBS_FOLDER)
        stack.callback(blobs.close)
        stack.enter_context(shared(state / BLOBS_FOLDER))
        begin(storage, state / BLOBS_FOLDER, source(RUN_BYTES))
        keys = Path(config.gateway.keys) if config.gateway.keys else state / KEYS_FOLDER
        director, flags = online_signers(keys, entropy)
        roles = online_roles(keys)
        certificates = Path(config.broker.certificates) if config.broker.certificates else None
        broker = await open_broker(
            config.broker.url,
            state / "broker",
            port=config.broker.port or kept_port(state),
            certificates=certificates,
        )
        stack.push_async_callback(broker.stop)
        keep_port(state, broker)
        zones = SystemZones()
        chronicle = Chronicle(clock.wall_ms)
        tracing = _tracing(config.telemetry, clock)
        stack.push_async_callback(asyncio.to_thread, tracing.close)
        runtime = Runtime(
            lambda: Gateway(config.core(), director, flags, roles, zones=zones),
            storage, blobs, clock, _ports(config, broker), Topics(config.gateway.root),
            limits=config.runtime, seed=int.from_bytes(entropy[2 * SEED_BYTES :]),
            observer=chronicle, heard=chronicle.heard, tracing=tracing,
        )  # fmt: skip
        stack.callback(runtime.close)
        tally = AlarmTally()
        if config.metrics.port:
            _tell_metrics(config, runtime, broker, stack, tally, tracing)
        office = _office(config, state, keys, runtime, blobs, clock, source, tracing)
        door = Door(Local(office, f"local:{getpass.getuser()}"), state / DOOR_FILE)
        uploads = Uploads(
            blobs, state / BLOBS_FOLDER / UPLOADS_FOLDER, config.http.upload_parts_max
        )
        tls = _tls(config.http, clock)
        service = Service(
            office, runtime, blobs, clock.wall_ms, uploads, config.http, alarms=tally,
            chronicle=chronicle, names=() if tls is None else tls.names, tracing=tracing,
        )  # fmt: skip
        http = _http(config.http, service, tls)
        witness = Witness(runtime, HeadFile(state), audit_verifier(keys))
        lookout = make_lookout(
            config, state, runtime, tally, office, witness, certificates, clock, source
        )
        await _run(
            runtime, office, door, broker.name,
            http=http, state=state, witness=witness, leased=storage.leased, lookout=lookout,
        )  # fmt: skip


def _office(
    config: Config,
    state: Path,
    keys: Path,
    runtime: Runtime,
    blobs: FileBlobs,
    clock: Clock,
    source: Callable[[int], bytes],
    tracing: Tracing,
) -> Office:
    return Office(
        runtime,
        Operator(runtime, blobs, Ed25519Verifier(read_trust(keys / TRUST_FILE))),
        Journal(audit_signer(keys, source(SEED_BYTES))),
        wall_ms=clock.wall_ms,
        entropy=source,
        second=frozenset(config.security.second_person),
        rules=config.rehearsal,
        rehearsing=_rehearsing(config.rehearsal, state),
        tracing=tracing,
    )


def _tracing(said: TelemetrySection, clock: Clock) -> Tracing:
    """Who is told of spans.

    Raises:
        ConfigError: what is said cannot be used, or the extra is not installed.
    """
    if not said.otlp_endpoint:
        return Untraced()
    try:
        from gateway.adapters.tracing import OtlpTracing
    except ImportError as error:
        raise ConfigError(
            "expected OpenTelemetry, because [telemetry] has an otlp_endpoint, found it is not installed "
            f"({error}): pip install 'fleetdrill[otel]'"
        ) from None
    say(logging.INFO, "tracing", sample=said.sample)
    return OtlpTracing(said, clock, ATTRIBUTES)


def kept_port(state: Path) -> int:
    """The port on which the broker of this state folder listened last; 0 when there was none."""
    try:
        return int((state / PORT_FILE).read_text())
    except (FileNotFoundError, ValueError):
        return 0


def keep_port(state: Path, broker: RunningBroker) -> None:
    """Remember where our own broker listens: devices are told an address once."""
    if broker.ours:
        (state / PORT_FILE).write_text(f"{broker.endpoint.port}\n")


async def _run(
    runtime: Runtime,
    office: Office,
    door: Door,
    broker: str,
    *,
    http: HttpServer | None,
    state: Path,
    witness: Witness,
    leased: bool,
    lookout: Lookout | None,
) -> None:
    loop = asyncio.get_running_loop()
    asked = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _ask, asked, runtime)
    await runtime.start()
    await office.restore(witness.verifier, witness.kept())
    await door.open()
    if http is not None:
        await _first_token(office, state / TOKEN_FILE)
        await http.open()
        await asyncio.to_thread((state / URL_FILE).write_text, http.url + "\n")
        say(logging.INFO, "listening", url=http.url)
    say(logging.INFO, "ready", broker=broker, door=door.path)
    keeping = [loop.create_task(witness.run())]
    keeping += [] if lookout is None else [loop.create_task(lookout.run())]
    rehearsing = loop.create_task(office.rehearsals.run())
    end = loop.create_task(runtime.wait())
    wish = loop.create_task(asked.wait())
    ends = [end, wish, *([loop.create_task(_keep_lease(runtime))] if leased else ())]
    try:
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    finally:
        if http is not None:
            await http.close()
        await door.close()
        rehearsing.cancel()
        await asyncio.wait((rehearsing,))
        await runtime.stop()
        for task in (*ends[1:], *keeping):
            task.cancel()
        await asyncio.wait((*ends, *keeping))
        await witness.look()
    for task in ends:
        if not task.cancelled():
            task.result()


def _rehearsing(said: RehearsalSection, state: Path) -> Rehearsing:
    """Where rollouts are rehearsed: the named command, or this installation's own simulator."""
    bounds = Bounds(said.wall_s_max, said.memory_mib_max * 1024 * 1024)
    command = said.command or usual_command()
    if said.gate == "required" and not (command and said.enabled):
        say(logging.WARNING, "no rollout can begin without a second person", hint="[rehearsal] requires one, and "
            "there is no simulator beside this gateway: pip install 'fleetdrill[sim]'")  # fmt: skip
    return Rehearsing(command, state / BLOBS_FOLDER, state / REHEARSALS_FOLDER, bounds)


async def _keep_lease(runtime: Runtime) -> None:
    """Ends with an error, and the gateway's life at once, when the database does not answer any more: another
    gateway may have it, and this one would otherwise notice with its next commit only."""
    while runtime.running:
        await asyncio.sleep(LEASE_LOOK_S)
        try:
            await runtime.page(HEAD, "", 1)
        except StorageError:
            runtime.crash()
            raise


def _tls(said: HttpSection, clock: Clock) -> HttpTls | None:
    """The certificate of the API, if it has one.

    Raises:
        ConfigError: of certificate and key only one is said.
        KeyFileError: they cannot be used.
    """
    if bool(said.certificate) != bool(said.key):
        there, missing = ("certificate", "key") if said.certificate else ("key", "certificate")
        raise ConfigError(f"expected `{missing}` beside `{there}` in [http], found {there} alone")
    if not (said.enabled and said.certificate):
        return None
    return HttpTls(Path(said.certificate), Path(said.key), clock.wall_ms)


def _http(said: HttpSection, service: Service, tls: HttpTls | None) -> HttpServer | None:
    if not said.enabled:
        return None
    if tls is None and said.host not in LOOPBACK:
        say(logging.WARNING, "tokens can be read on the way", host=said.host, hint="set certificate "
            "and key in [http], or listen on 127.0.0.1 behind a proxy that speaks TLS")  # fmt: skip
    return HttpServer(make_app(service), said.host, said.port, tls=tls, said=said)


async def _first_token(office: Office, file: Path) -> None:
    """Make a token where there never was one, or a restore ended them all, and leave it where only the owner
    reads it: before it is good, so that whatever ends us in between, the next start makes another."""
    local = Asker(FIRST, Role.ADMIN)
    tokens = {token.name: token for token in office.tokens(local)}
    if any(token.revoked_by != BY_RESTORE for token in tokens.values()):
        return
    names = (f"{FIRST}-{number}" if number > 1 else FIRST for number in count(1))
    name = next(name for name in names if name not in tokens)

    async def left(text: str) -> None:
        await asyncio.to_thread(file.unlink, missing_ok=True)
        await asyncio.to_thread(write_new, file, text.encode() + b"\n", OWNER_ONLY)

    await office.make_token(local, name, Role.ADMIN, life_ms=LIFE_MS_MAX, labels={}, before=left)
    say(logging.WARNING, "made a first token", file=file, role="admin",
        hint="make tokens of their own for everybody, then revoke this one")  # fmt: skip


def _ask(asked: asyncio.Event, runtime: Runtime) -> None:
    """A signal: the first asks, the second does not wait."""
    if asked.is_set():
        say(logging.WARNING, "stopping at once")
        runtime.crash()
    asked.set()


def online_signers(keys: Path, entropy: bytes) -> tuple[Ed25519Signer, Ed25519Signer]:
    """The director's and the flags' signer; made when the folder has neither them nor a trust file.

    Raises:
        KeyFileError: one is missing that should be there, or is not a key.
    """
    director, flags = key_file(keys, ROLE_DIRECTOR), key_file(keys, ROLE_FLAGS)
    trust = keys / TRUST_FILE
    finish_together(keys)
    if not (director.exists() or flags.exists() or trust.exists()):
        keys.mkdir(mode=0o700, parents=True, exist_ok=True)
        public: dict[str, list[str]] = {ROLE_TARGETS: []}
        files = {}
        for place, role in enumerate((ROLE_DIRECTOR, ROLE_FLAGS)):
            seed = entropy[place * SEED_BYTES : (place + 1) * SEED_BYTES]
            files[key_file(keys, role).name] = (seed.hex().encode() + b"\n", OWNER_ONLY)
            public[role] = [Ed25519Signer(role, seed).public.hex()]
        files[trust.name] = (json.dumps(public, indent=2).encode() + b"\n", EVERYBODY_READS)
        write_together(keys, files)
        say(logging.WARNING, "made signing keys", folder=keys, hint="devices must trust them: give "
            "them trust.json; no targets key is trusted yet, so no bundle can be published")  # fmt: skip
    return read_signer(keys, ROLE_DIRECTOR), read_signer(keys, ROLE_FLAGS)


def audit_signer(keys: Path, seed: bytes) -> Ed25519Signer:
    """The signer of the audit log's heads; made of `seed` when the folder has neither it nor the file that names it.
    That file stands beside it, for whoever verifies the log.

    Raises:
        KeyFileError: it is not a key, or another than the file names: a log that two keys signed in turn is
            one that somebody may have begun anew.
    """
    file, trust = key_file(keys, ROLE_AUDIT), keys / AUDIT_TRUST_FILE
    finish_together(keys)
    if not file.exists() and not trust.exists():
        keys.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_together(keys, {file.name: (seed.hex().encode() + b"\n", OWNER_ONLY)})
    signer = read_signer(keys, ROLE_AUDIT)
    if not trust.exists():
        public = {ROLE_AUDIT: [signer.public.hex()]}
        write_new(trust, json.dumps(public).encode() + b"\n", EVERYBODY_READS)
    if signer.public not in read_trust(trust).get(ROLE_AUDIT, ()):
        raise KeyFileError(
            f"expected the key in {file} to be one that {trust} names, found another: put the old key back, or "
            f"add the public key {signer.public.hex()} to that file if you changed it yourself"
        )
    return signer


def audit_verifier(keys: Path) -> Ed25519Verifier:
    """What verifies the audit log of a key folder.

    Raises:
        KeyFileError: the folder has no ``audit-trust.json``.
    """
    return Ed25519Verifier(read_trust(keys / AUDIT_TRUST_FILE))


def _tell_metrics(
    config: Config,
    runtime: Runtime,
    broker: RunningBroker,
    stack: AsyncExitStack,
    tally: AlarmTally,
    tracing: Tracing,
) -> None:
    """Answer Prometheus, with the broker's own count of drops where it may be read."""
    endpoint = broker.endpoint_for(MONITOR)
    if config.broker.username:
        endpoint = _named(endpoint, config.broker)
    drops = DropWatch(lambda ears: LeanPort(endpoint, ears), f"{config.broker.client_id}-monitor")
    drops.open()
    stack.callback(drops.close)
    metrics = MetricsServer(
        runtime.counters,
        host=config.metrics.host,
        port=config.metrics.port,
        dropped=lambda: drops.dropped,
        more=(AlarmsCollector(tally), *((TracesCollector(tracing.tally),) if tracing.on else ())),
    )
    stack.callback(metrics.close)
    say(logging.INFO, "metrics", url=metrics.url)


def _ports(config: Config, broker: RunningBroker) -> Ports:
    said = config.broker
    control, data = broker.endpoint_for(CONTROL), broker.endpoint_for(DATA)
    if said.username:
        control, data = _named(control, said), _named(data, said)
    return Ports(
        lambda ears: AiomqttPort(control, ears),
        lambda ears: LeanPort(data, ears),
        client_id=said.client_id,
        keepalive_s=said.keepalive_s,
        session_expiry_s=said.session_expiry_s,
        receive_maximum=said.receive_maximum,
    )


def _named(endpoint: Endpoint, said: BrokerSection) -> Endpoint:
    return replace(endpoint, username=said.username, password=said.password or None)
