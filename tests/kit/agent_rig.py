"""A little world for one agent: bundles, keys, a disk that tears, a gateway that answers `get`.

`Rig` is a host with a heap of things to come and no models behind it. It can cut the power after any
effect and the connection before any message, and it keeps the books that properties are about: which
chunks arrived how often, which bytes ran, how many frames were executed and how many reported.
"""

from __future__ import annotations

import heapq
import json
from collections import Counter
from hashlib import sha256
from typing import Any

from msgspec.structs import replace

from devicesdk.agent import effects as ask
from devicesdk.agent import stimuli as hear
from devicesdk.agent.agent import Agent, Identity
from devicesdk.agent.config import AgentConfig
from devicesdk.agent.shared import Shared
from devicesdk.bundle.chunks import RealDigests, build_hash_list, split
from devicesdk.bundle.delta import BadDelta
from devicesdk.bundle.delta_apply import InMemory, apply_delta
from devicesdk.bundle.delta_plan import steps
from devicesdk.bundle.manifest import BlobRef, Manifest, Variant, encode_manifest
from devicesdk.bundle.trust import (
    ROLE_DIRECTOR,
    ROLE_FLAGS,
    ROLE_TARGETS,
    Ed25519Signer,
    Ed25519Verifier,
    RememberingVerifier,
)
from devicesdk.wire import codec, limits, topics
from devicesdk.wire.messages import (
    Event,
    FlagSnapshot,
    Get,
    Have,
    KillList,
    Link,
    Telemetry,
    UpdatePolicy,
    Want,
)
from devicesdk.wire.timebase import MS, SECOND
from tests_kit.charts import DUE, Asks, Chart

DEVICE = "kiosk-0001"
SIGNERS = {
    role: Ed25519Signer(role, bytes([number]) * 32)
    for number, role in enumerate((ROLE_TARGETS, ROLE_DIRECTOR, ROLE_FLAGS), start=1)
}
KEYS = {role: (signer.public,) for role, signer in SIGNERS.items()}
VERIFIER = RememberingVerifier(Ed25519Verifier(KEYS))
CALM = hear.Conditions()


def pattern(seed: int, size: int) -> bytes:
    """Bytes that look random and are a function of the seed."""
    blocks = [sha256(b"%d:%d" % (seed, i)).digest() for i in range(size // 32 + 1)]
    return b"".join(blocks)[:size]


class Bundle:
    """A signed bundle of one variant, and its blobs."""

    def __init__(
        self,
        number: int = 1,
        size: int = 150_000,
        chunk_bytes: int = 16_384,
        *,
        image: bytes | None = None,
        hardware: tuple[str, ...] = ("*",),
        signer: str = ROLE_TARGETS,
        manifest_padding: int = 0,
    ) -> None:
        self.image = pattern(number, size) if image is None else image
        self.hashes = build_hash_list(split(self.image, chunk_bytes))
        self.chunk_bytes = chunk_bytes
        self.variant = Variant(
            name="int8",
            image=_ref(self.image),
            hashes=_ref(self.hashes),
            chunk_bytes=chunk_bytes,
            hardware=hardware,
        )
        self.manifest = Manifest(
            id="gauge",
            version=f"1.{number}.0",
            release=number,
            variants=(self.variant,),
            baseline={"pad": [0.5] * manifest_padding},
        )
        self.envelope = SIGNERS[signer].seal(encode_manifest(self.manifest))
        self.digest = sha256(self.envelope).digest()

    @property
    def blobs(self) -> dict[bytes, tuple[bytes, int]]:
        """Each blob with its chunk size, by digest."""
        small = limits.CHUNK_BYTES_DEFAULT
        return {
            self.digest: (self.envelope, small),
            sha256(self.hashes).digest(): (self.hashes, small),
            sha256(self.image).digest(): (self.image, self.chunk_bytes),
        }


class Shortcut:
    """A delta between the images of two bundles, and its blobs; `damage` changes its bytes first."""

    def __init__(self, old: Bundle, new: Bundle, damage: Any = None) -> None:
        *_, step = steps(new.image, (old.image,), old.chunk_bytes)
        self.ref, blobs = step.ref, step.blobs
        if damage is not None:
            data = damage(blobs[0])
            hashes = build_hash_list(split(data, self.ref.chunk_bytes)) if blobs[1:] else b""
            blobs = (data, hashes) if hashes else (data,)
            digests = [sha256(blob).digest() for blob in blobs]
            self.ref = replace(
                self.ref, blob=digests[0], size_bytes=len(data), hashes=(*digests, b"")[1]
            )
        sizes = (self.ref.chunk_bytes, limits.CHUNK_BYTES_DEFAULT)
        self.data = blobs[0]
        self.blobs = {
            sha256(blob).digest(): (blob, size) for blob, size in zip(blobs, sizes, strict=False)
        }


def edited(image: bytes, start: int, size: int, seed: int = 9) -> bytes:
    """An image with other bytes in one place."""
    return image[:start] + pattern(seed, size) + image[start + size :]


def _ref(blob: bytes) -> BlobRef:
    return BlobRef(sha256(blob).hexdigest(), len(blob))


def want_of(bundle: Bundle, generation: int = 1, device: str = DEVICE, **fields: Any) -> bytes:
    """A signed want for a bundle."""
    policy = fields.pop("policy", UpdatePolicy(trial_ms=5_000))
    want = Want(
        device=device,
        generation=generation,
        deployment=fields.pop("deployment", f"r{generation}"),
        manifest=bundle.digest,
        manifest_bytes=len(bundle.envelope),
        policy=policy,
        **fields,
    )
    return SIGNERS[ROLE_DIRECTOR].seal(codec.encode(want))


def kill_of(version: int, *features: str) -> bytes:
    """A signed kill list."""
    return SIGNERS[ROLE_FLAGS].seal(codec.encode(KillList(version=version, features=features)))


def flags_of(rev: int, document: bytes, segment: str = "all", **fields: Any) -> bytes:
    """A signed flag snapshot."""
    snapshot = FlagSnapshot(rev=rev, segment=segment, document=document, **fields)
    return SIGNERS[ROLE_FLAGS].seal(codec.encode(snapshot))


def identity_of(factory: Bundle | None, device: str = DEVICE) -> Identity:
    """A device that has (or has not) a bundle from the factory."""
    if factory is None:
        return Identity(device, "rpi4", 4096)
    return Identity(device, "rpi4", 4096, factory.digest, factory.variant.name)


def shared_of(config: AgentConfig | None = None, *, online: bool = False, seed: int = 7) -> Shared:
    """The common ground of a part under test, in boot 1."""
    shared = Shared(config or AgentConfig(), identity_of(None), VERIFIER, RealDigests(), seed)
    shared.booted(1, None, 0)
    shared.online = online
    return shared


class Agents:
    """Makes charts of agents, and carries their files from boot to boot."""

    def __init__(self, factory: Bundle | None = None, config: AgentConfig | None = None) -> None:
        self.config = config or AgentConfig()
        self.identity = identity_of(factory)
        self.boots = 0

    def restore(self, state: bytes | None, saved_map: bytes | None = None, seed: int = 7) -> Agent:
        return Agent.restore(self.config, self.identity, VERIFIER, seed, state, saved_map)

    def boot(
        self,
        state: bytes | None = None,
        saved_map: bytes | None = None,
        *,
        seed: int = 7,
        bearer_up: bool = True,
        wall_ms: int | None = None,
        conditions: hear.Conditions = CALM,
        now: int = 0,
    ) -> Chart:
        """A chart of an agent that has just booted."""
        self.boots += 1
        chart = Chart(self.restore(state, saved_map, seed), now, self.same_after_restore)
        return chart >> hear.Booted(self.boots, wall_ms, bearer_up, conditions)

    def online(self, *args: Any, **kwargs: Any) -> Chart:
        """A chart of an agent that booted, connected and subscribed; all is acknowledged."""
        chart = self.boot(*args, **kwargs)
        connect(chart)
        return acknowledge(chart)

    def same_after_restore(self, agent: Agent) -> None:
        """The state file says all that it must: the next boot would save the same."""
        state = agent.snapshot()
        assert self.restore(state).snapshot() == state, "restore forgets part of the state"


def connect(chart: Chart) -> Chart:
    """Wait for the connect, and let it succeed."""
    while not [effect for effect in chart.left if isinstance(effect, ask.Connect)]:
        chart >> DUE
    chart >> hear.Connected(session_present=False)
    chart << Asks(ask.Subscribe)
    return chart >> hear.Subscribed((1,) * 5)


def fetch(chart: Chart, *bundles: Bundle) -> Chart:
    """Answer every chunk request until none comes; files are read as empty."""
    gateway = Gateway(*bundles)
    waiting = list(chart.left)
    seen = list(waiting)
    while waiting:
        effect = waiting.pop(0)
        answers: list[Any] = []
        if isinstance(effect, ask.ReadFile):
            answers = [hear.FileRead(effect.file, None)]
        elif isinstance(effect, ask.Publish) and effect.kind == topics.GET:
            frames = gateway.answer(effect.payload)
            answers = [hear.Arrived(topics.DAT, frame) for frame in frames]
        for answer in answers:
            chart.now += MS
            chart >> answer
            waiting += chart.left
            seen += chart.left
    chart.left = seen
    return chart


def stage(chart: Chart, bundle: Bundle) -> Chart:
    """Bring a wanted bundle up to the beginning of its trial; the last effects stay in view."""
    fetch(chart, bundle)
    chart << Asks(ask.HashFile)
    chart >> hear.FileHashed("slot-b", sha256(bundle.image).digest())
    slot = chart.found(Asks(ask.RunKit)).slot
    return chart >> hear.KitRan(slot, True, "", 3, 12_000)


def want_arrives(chart: Chart, bundle: Bundle, generation: int = 1, **fields: Any) -> Chart:
    """A want comes."""
    return chart >> hear.Arrived(topics.WANT, want_of(bundle, generation, **fields), True)


def acknowledge(chart: Chart) -> Chart:
    """Acknowledge every publish so far; what the last stimulus caused stays in view."""
    left = list(chart.left)
    tokens = [effect.token for effect in chart.all if isinstance(effect, ask.Publish)]
    for token in tokens:
        chart >> hear.PubAcked(token)
        left += chart.left
    chart.left = left
    return chart


def sent(chart: Chart, kind: str) -> list[Any]:
    """All messages of a kind published in this conversation, decoded."""
    types = {"have": Have, "link": Link, "get": Get, "ev": Event, "tel": Telemetry}
    return [
        codec.decode(types[kind], effect.payload)
        for effect in chart.all
        if isinstance(effect, ask.Publish) and effect.kind == kind
    ]


class Rows:
    """Readings of a burst: all frames read the same."""

    def __init__(self, frames: int, reading: int = 500, error: int = 0) -> None:
        self._rows = [[reading, 10, 3, 0, 1, 2, 3, 4, 5, 6, 7, error] for _ in range(frames)]

    def rows(self) -> list[list[int]]:
        return self._rows


def frames_ran(
    burst: int,
    frames: int = 4,
    reading: int = 500,
    error: int = 0,
    conditions: hear.Conditions = CALM,
    shadow: Rows | None = None,
    latency_us: int = 12_000,
) -> hear.FramesRan:
    """A burst is over."""
    rows = Rows(frames, reading, error)
    return hear.FramesRan(
        burst, frames, rows, latency_us, 0, conditions, shadow=shadow, shadow_latency_us=latency_us
    )


def experiment_flag(bundle: Bundle, **fields: Any) -> dict[str, Any]:
    """Definition of an object flag that makes every device run a candidate as `fields` say."""
    value = {"mode": "bandit", "arm": "candidate", "bundle": bundle.digest.hex(), **fields}
    return {"state": "ENABLED", "variants": {"v": value}, "defaultVariant": "v"}


def document_of(**flags: Any) -> bytes:
    """A flagd document; ``experiment_e1`` stands for the flag ``experiment.e1``."""
    named = {name.replace("experiment_", "experiment."): flag for name, flag in flags.items()}
    return json.dumps({"flags": named}).encode()


class Disk:
    """Files: what is durable, and what was written and not synced."""

    def __init__(self) -> None:
        self.durable: dict[str, bytearray] = {}
        self.unsynced: list[tuple[str, int, bytes]] = []

    def copy(self) -> Disk:
        other = Disk()
        other.durable = {name: bytearray(data) for name, data in self.durable.items()}
        other.unsynced = list(self.unsynced)
        return other

    def write(self, file: str, offset: int, data: bytes | memoryview) -> None:
        self.unsynced.append((file, offset, bytes(data)))

    def sync(self, file: str) -> None:
        for name, offset, data in self.unsynced:
            if name == file:
                _put(self.durable.setdefault(file, bytearray()), offset, data)
        self.unsynced = [entry for entry in self.unsynced if entry[0] != file]

    def save(self, file: str, data: bytes) -> None:
        self.delete(file)
        self.durable[file] = bytearray(data)

    def delete(self, file: str) -> None:
        self.durable.pop(file, None)
        self.unsynced = [entry for entry in self.unsynced if entry[0] != file]

    def read(self, file: str) -> bytes | None:
        data = self.durable.get(file)
        view = bytearray() if data is None else bytearray(data)
        found = data is not None
        for name, offset, part in self.unsynced:
            if name == file:
                _put(view, offset, part)
                found = True
        return bytes(view) if found else None

    def cut(self, tear: str) -> None:
        """Power went. `tear`: unsynced writes are lost (none), torn in the middle (half), kept (all),
        or kept but for the first one (late: the disk reordered them)."""
        for place, (name, offset, data) in enumerate(self.unsynced):
            kept = {"none": 0, "half": len(data) // 2, "all": len(data)}.get(tear)
            if kept is None:
                kept = len(data) if place else 0
            if kept:
                file = self.durable.setdefault(name, bytearray())
                _put(file, offset, data[:kept])
        self.unsynced = []


def _put(file: bytearray, offset: int, data: bytes) -> None:
    if len(file) < offset:
        file.extend(b"\xff" * (offset - len(file)))
    file[offset : offset + len(data)] = data


class Gateway:
    """Answers chunk requests out of a dictionary, as asked, and remembers what it was asked."""

    def __init__(self, *bundles: Bundle) -> None:
        self.blobs: dict[bytes, tuple[bytes, int]] = {}
        for bundle in bundles:
            self.blobs.update(bundle.blobs)
        self.gets: list[Get] = []

    def answer(self, payload: bytes) -> list[bytes]:
        """The data frames of a round."""
        get = codec.decode(Get, payload)
        self.gets.append(get)
        blob, chunk_bytes = self.blobs[get.blob]
        chunks = -(-len(blob) // chunk_bytes)
        bits = int.from_bytes(get.bitmap, "little") if get.bitmap else (1 << get.count) - 1
        assert get.count * chunk_bytes <= limits.ROUND_BYTES_MAX or get.count == 1
        indices = [get.base + i for i in range(get.count) if bits >> i & 1]
        assert indices, "a request for nothing"
        assert indices[-1] < chunks, f"asked for chunk {indices[-1]} of {chunks}"
        return [
            frame_of(get, blob, chunk_bytes, index, len(indices) if index == indices[-1] else 0)
            for index in indices
        ]


def frame_of(get: Get, blob: bytes, chunk_bytes: int, index: int, count: int) -> bytes:
    """One data frame that answers a request."""
    data = blob[index * chunk_bytes : (index + 1) * chunk_bytes]
    return codec.encode_frame(codec.Frame(get.transfer, get.seq, get.blob[:8], index, count), data)


class PowerCut(Exception):
    """The fuse burnt through."""


class Rig:
    """One agent, its host, its disk and its gateway."""

    def __init__(
        self,
        *bundles: Bundle,
        factory: Bundle | None = None,
        config: AgentConfig | None = None,
        seed: int = 7,
        rtt_ns: int = 50 * MS,
    ) -> None:
        self.config = config or AgentConfig(window_ns=60 * SECOND)
        self.factory = factory
        known = [*bundles, *([factory] if factory else [])]
        self.images = {bundle.digest: sha256(bundle.image).digest() for bundle in known}
        self.gateway = Gateway(*known)
        self.identity = identity_of(factory)
        self.seed, self.rtt_ns = seed, rtt_ns
        self.disk = Disk()
        if factory is not None:
            self.disk.save("slot-a", factory.image)
        self.retained: dict[str, bytes] = {}
        self.session = False
        self.queued: list[hear.Arrived] = []
        self.now = 0
        self.boot_id = 0
        self.fuse = -1
        self.cut_before_message = -1
        self.kit_passes = True
        self.error_in: set[bytes] = set()
        """Manifests whose frames are all in error."""
        self.effects = 0
        self.messages = 0
        self.chunks: Counter[tuple[bytes, int]] = Counter()
        self.executed = self.lost_frames = 0
        self.telemetry: dict[tuple[int, int], Telemetry] = {}
        self.events: dict[tuple[int, int], Event] = {}
        self.haves: list[Have] = []
        self.links: list[Link] = []
        self.runs: list[tuple[str, bytes]] = []
        self.asks = 0
        """Frames went out so often; nobody answers."""
        self._reading: tuple[int, int] | None = None
        self.taking: set[int] = set()
        self.kept: dict[int, int] = {}
        """Frames taken and not run, by burst."""
        self.beside: tuple[str, bytes] = ("", b"")
        """What stands by in the inactive slot, in this boot."""
        self.bursts: Counter[bytes] = Counter()
        """Bursts begun, by the manifest that was acted on."""
        self.writes_per_digest: Counter[bytes] = Counter()
        self.notes: Counter[str] = Counter()
        self.agent: Agent | None = None
        self._heap: list[tuple[int, int, int, int, Any]] = []
        self._count = 0
        self._power = self._connection = 0
        self._connected = False
        self._burst: tuple[ask.RunModel, int, bytes] | None = None

    # -- power and time -----------------------------------------------------------------------------

    def boot(self) -> None:
        """Power is on."""
        self.boot_id += 1
        self._power += 1
        self.beside = ("", b"")
        self._drop_connection()
        if self._burst is not None:
            self._count_executed(*self._burst, lost=True)
        self._reading = None
        self.kept.clear()
        self.taking.clear()
        self.agent = Agent.restore(
            self.config,
            self.identity,
            VERIFIER,
            self.seed,
            self.disk.read("state"),
            self.disk.read("map"),
        )
        self.hear(hear.Booted(self.boot_id, 1_750_000_000_000, bearer_up=True, conditions=CALM))

    def cut_power(self, tear: str = "half") -> None:
        """Power goes and comes back."""
        self.disk.cut(tear)
        self.fuse = -1
        self.boot()

    def hear(self, stimulus: Any) -> None:
        """Something happens now."""
        assert self.agent is not None, "no power"
        queue = [stimulus]
        while queue:
            out = self.agent.handle(queue.pop(0), self.now)
            for effect in out:
                self.effects += 1
                queue += self._perform(effect)
                if self.fuse >= 0:
                    self.fuse -= 1
                    if self.fuse < 0:
                        raise PowerCut
            self.agent.validate()

    def step(self) -> None:
        """The next thing happens."""
        assert self.agent is not None, "no power"
        due = self.agent.deadline()
        while self._heap and not self._current(self._heap[0]):
            heapq.heappop(self._heap)
        if self._heap and (due is None or self._heap[0][0] <= due[0]):
            self.now, _, _, _, stimulus = heapq.heappop(self._heap)
            self._deliver(stimulus)
        elif due is not None:
            self.now = max(self.now, due[0])
            self.hear(hear.DeadlineReached())
        else:
            self.now += SECOND  # nothing to do, and nothing to come: `run` notices if that is wrong

    def run(self, until: Any, steps_max: int = 20_000, tear: str | None = None) -> None:
        """Let things happen until `until()` is true; a burnt fuse tears and boots (once)."""
        for _ in range(steps_max):
            if until():
                return
            try:
                self.step()
            except PowerCut:
                if tear is None:
                    raise
                self.cut_power(tear)
        last = self.haves[-1] if self.haves else None
        raise AssertionError(f"after {steps_max} steps still not there; last report {last}")

    def run_for(self, duration_ns: int) -> None:
        """Let things happen for a while."""
        end = self.now + duration_ns
        self.run(lambda: self.now >= end)

    # -- messages -----------------------------------------------------------------------------------

    def publish(self, kind: str, payload: bytes) -> None:
        """The gateway publishes a retained message."""
        self.retained[kind] = payload
        if self._connected:
            self._later(self.rtt_ns // 2, hear.Arrived(kind, payload), connection=True)
        elif self.session:
            self.queued.append(hear.Arrived(kind, payload))

    def disconnect(self) -> None:
        """The connection breaks, and the device knows."""
        self._drop_connection()
        self.hear(hear.Disconnected("reset"))

    @property
    def connected(self) -> bool:
        """Whether a connection is up or being made."""
        return self._connected

    def reported(self) -> Have:
        """The last report."""
        return self.haves[-1]

    def committed(self, bundle: Bundle) -> bool:
        """Whether the device says that it runs a bundle for good."""
        return bool(self.haves) and (
            self.haves[-1].running == bundle.digest and not self.haves[-1].trial
        )

    def _drop_connection(self) -> None:
        """Chunks on the wire are lost; QoS 1 messages wait in the broker's session."""
        for entry in sorted(self._heap):
            if self._current(entry):
                self._queue(entry[4])
        self._connected = False
        self._connection += 1

    def _queue(self, stimulus: Any) -> None:
        if isinstance(stimulus, hear.Arrived) and stimulus.kind != topics.DAT:
            self.queued.append(stimulus)

    def _deliver(self, stimulus: Any) -> None:
        if isinstance(stimulus, hear.Arrived | hear.PubAcked):
            if self.messages == self.cut_before_message:
                self.cut_before_message = -1
                self._queue(stimulus)
                self.disconnect()
                return
            self.messages += 1
        if isinstance(stimulus, hear.Arrived) and stimulus.kind == topics.DAT:
            frame, _ = codec.decode_frame(stimulus.payload)
            self.chunks[frame.digest8, frame.chunk] += 1
        if isinstance(stimulus, hear.DeltaApplied):
            self.disk.sync(stimulus.file)
        if isinstance(stimulus, hear.FramesRan):
            if self._reading is not None and self._reading[0] == stimulus.burst:
                self.hear(self._read(stimulus.burst))
            else:
                self._burst_ends(stimulus.burst)
            return
        if isinstance(stimulus, hear.FramesTaken):
            if stimulus.burst not in self.taking:
                return  # it was cut
            self.taking.clear()
        if isinstance(stimulus, hear.Connected):
            self.session = True
            waiting, self.queued = self.queued, []
            for place, message in enumerate(waiting, start=1):
                self._later(place * MS, message, connection=True)
        self.hear(stimulus)

    # -- effects ------------------------------------------------------------------------------------

    def _perform(self, effect: Any) -> list[Any]:
        match effect:
            case ask.Connect():
                self._drop_connection()
                self._connected = True
                self._later(self.rtt_ns, hear.Connected(self.session), connection=True)
            case ask.Disconnect():
                self._drop_connection()
            case ask.Subscribe(filters=filters):
                codes = (1,) * len(filters)
                self._later(self.rtt_ns, hear.Subscribed(codes), connection=True)
                for kind, payload in self.retained.items():
                    arrived = hear.Arrived(kind, payload, retained=True)
                    self._later(self.rtt_ns + 1, arrived, connection=True)
            case ask.Publish():
                self._publish(effect)
            case ask.Write(file=file, offset=offset, data=data):
                self.disk.write(file, offset, data)
            case ask.Sync(file=file):
                self.disk.sync(file)
            case ask.Save(file=file, data=data):
                self.disk.save(file, data)
            case ask.Delete(file=file):
                self.disk.delete(file)
            case ask.ReadFile(file=file):
                return [hear.FileRead(file, self.disk.read(file))]
            case ask.HashFile(file=file, size_bytes=size):
                digest = sha256((self.disk.read(file) or b"")[:size]).digest()
                self._later(10 * MS, hear.FileHashed(file, digest))
            case ask.ApplyDelta():
                self._apply(effect)
            case ask.RunKit(slot=slot, manifest=manifest):
                self._check_slot(slot, manifest, "run its kit from")
                reason = "" if self.kit_passes else "nan"
                answer = hear.KitRan(slot, self.kit_passes, reason, 3, 12_000)
                self._later(100 * MS, answer)
            case ask.RunProbe(slot=slot, manifest=manifest):
                self._check_slot(slot, manifest, "probe")
                self._later(100 * MS, hear.ProbeRan(slot, True, 0, 0, 0, "default"))
            case ask.Activate(slot=slot, manifest=manifest):
                if slot:
                    self._check_slot(slot, manifest, "activate")
                self.runs.append((slot, manifest))
            case ask.RunModel(burst=burst, frames=frames, period_ns=period):
                assert self._burst is None, "two bursts at once"
                manifest = self._manifest_in(effect.slot)
                if effect.shadow:
                    assert self._manifest_in(effect.shadow) != manifest, "a shadow of itself"
                self.bursts[manifest] += 1
                self._burst = (effect, self.now, manifest)
                self._later(frames * period, frames_ran(burst))
            case ask.TakeFrames(burst=burst, frames=frames, period_ns=period, send=send):
                assert self._burst is None, "frames are taken while a burst runs"
                pixels = bytes(16 * frames) if send else b""
                self.kept[burst] = frames
                self.taking = {burst}
                self._later(frames * period, hear.FramesTaken(burst, frames, pixels, CALM))
            case ask.RunTaken(burst=burst) | ask.ReadAnswer(burst=burst):
                self._reading = burst, self.kept.pop(burst)
                self._later(MS, frames_ran(burst))
            case ask.DropTaken(burst=burst):
                del self.kept[burst]
            case ask.StandBy(slot=slot, manifest=manifest):
                assert slot != self.runs[-1][0], "what runs for good stands by"
                self._check_slot(slot, manifest, "let stand by")
                self.beside = (slot, manifest)
            case ask.CutBurst(burst=burst) if burst in self.taking:
                self.taking.clear()
                frames, self.kept[burst] = self.kept[burst], 1
                return [hear.FramesTaken(burst, min(1, frames), bytes(16), CALM)]
            case ask.CutBurst(burst=burst) if self._reading is not None:
                return [self._read(burst)]
            case ask.CutBurst(burst=burst):
                return [self._burst_answer(burst)]
            case ask.Note(kind=kind):
                self.notes[kind] += 1
            case ask.Act():
                pass
        return []

    def _apply(self, effect: ask.ApplyDelta) -> None:
        """Applied for real, a piece at a time; durable when answered."""
        assert effect.file != effect.base, "a delta written over its base"
        disk, offset, reason = self.disk, 0, ""
        delta = (disk.read(effect.delta) or b"")[: effect.delta_bytes]
        base = disk.read(effect.base) if effect.base else None
        disk.delete(effect.file)

        def write(data: bytes) -> None:
            nonlocal offset
            for at in range(0, len(data), 16_384):
                disk.write(effect.file, offset, data[at : at + 16_384])
                offset += len(data[at : at + 16_384])

        source = None if base is None else InMemory(base)
        try:
            apply_delta(InMemory(delta), source, effect.size_bytes, write)
        except BadDelta:
            reason = "delta"
        self._later(20 * MS, hear.DeltaApplied(effect.file, not reason, reason))

    def _publish(self, effect: ask.Publish) -> None:
        if not self._connected:
            return
        if effect.token:
            self._later(self.rtt_ns, hear.PubAcked(effect.token), connection=True)
        if effect.kind == topics.GET:
            for place, frame in enumerate(self.gateway.answer(effect.payload)):
                delay = self.rtt_ns + place * MS
                self._later(delay, hear.Arrived(topics.DAT, frame), connection=True)
        elif effect.kind == topics.HAVE:
            self.haves.append(codec.decode(Have, effect.payload))
        elif effect.kind == topics.LINK:
            self.links.append(codec.decode(Link, effect.payload))
        elif effect.kind == topics.EV:
            event = codec.decode(Event, effect.payload)
            self.events[event.boot_id, event.seq] = event
        elif effect.kind == topics.ASK:
            self.asks += 1
        else:
            window = codec.decode(Telemetry, effect.payload)
            self.telemetry[window.boot_id, window.seq] = window

    def _manifest_in(self, slot: str) -> bytes:
        """What a burst from this slot runs: it is what was announced, and whole on the disk."""
        known = dict([self.beside, self.runs[-1]])
        assert slot in known, f"told to run slot {slot}, which was neither activated nor stands by"
        self._check_slot(slot, known[slot], "run")
        return known[slot]

    def _check_slot(self, slot: str, manifest: bytes, verb: str) -> None:
        image = self.disk.read(f"slot-{slot}") or b""
        found = sha256(image).digest()
        assert found == self.images.get(manifest), (
            f"expected slot {slot} to hold the image of {manifest.hex()[:8]} when told to {verb} it, "
            f"found {len(image)} bytes {found.hex()[:8]}"
        )
        unsynced = [entry for entry in self.disk.unsynced if entry[0] == f"slot-{slot}"]
        assert not unsynced, f"told to {verb} slot {slot} with {len(unsynced)} writes not durable"

    def _burst_ends(self, burst: int) -> None:
        if self._burst is not None and self._burst[0].burst == burst:
            self.hear(self._burst_answer(burst))

    def _read(self, burst: int) -> hear.FramesRan:
        assert self._reading is not None, "nothing is read"
        reading, self._reading = self._reading, None
        assert reading[0] == burst, f"burst {burst} read, {reading[0]} expected"
        self.executed += reading[1]
        return frames_ran(burst, reading[1])

    def _burst_answer(self, burst: int) -> hear.FramesRan:
        assert self._burst is not None, "no burst to answer for"
        effect, began, manifest = self._burst
        assert effect.burst == burst, f"burst {burst} asked for, {effect.burst} runs"
        ran = self._count_executed(effect, began, manifest)
        shadow = Rows(ran, error=int(self.beside[1] in self.error_in)) if effect.shadow else None
        return frames_ran(burst, ran, error=int(manifest in self.error_in), shadow=shadow)

    def _count_executed(
        self, effect: ask.RunModel, began: int, manifest: bytes, *, lost: bool = False
    ) -> int:
        assert manifest, "a burst of nothing"
        self._burst = None
        ran = min(effect.frames, (self.now - began) // effect.period_ns + 1)
        models = 2 if effect.shadow else 1
        self.executed += models * ran
        self.lost_frames += models * ran if lost else 0
        return ran

    def _later(self, delay: int, stimulus: Any, *, connection: bool = False) -> None:
        self._count += 1
        epoch = self._connection if connection else -self._power
        heapq.heappush(self._heap, (self.now + delay, self._count, epoch, 0, stimulus))

    def _current(self, entry: tuple[int, int, int, int, Any]) -> bool:
        epoch = entry[2]
        return epoch == (self._connection if epoch >= 0 else -self._power)
