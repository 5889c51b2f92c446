"""A little world for one agent: bundles, keys, a disk that tears, a gateway that answers `get`.

`Rig` is a host with a heap of things to come and no models behind it. It can cut the power after any
effect and the connection before any message, and it keeps the books that properties are about: which
chunks arrived how often, which bytes ran, how many frames were executed and how many reported.
"""

from __future__ import annotations

import heapq
from collections import Counter
from hashlib import sha256
from typing import Any

from devicesdk.agent import effects as ask
from devicesdk.agent import stimuli as hear
from devicesdk.agent.agent import Agent
from devicesdk.agent.config import AgentConfig
from devicesdk.agent.download import MAP_FILE
from devicesdk.bundle.delta import BadDelta
from devicesdk.bundle.delta_apply import InMemory, apply_delta
from devicesdk.wire import codec, topics
from devicesdk.wire.messages import (
    Event,
    Have,
    Link,
    Telemetry,
)
from devicesdk.wire.timebase import MS, SECOND
from tests_kit.agent_bundles import VERIFIER, Bundle, Gateway, identity_of
from tests_kit.agent_charts import CALM, Rows, frames_ran
from tests_kit.agent_disk import Disk


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
        self.unmapped_bytes = self.unmapped_bytes_max = 0
        """Written since the chunk map was saved: what a power cut costs."""
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
                self.unmapped_bytes += len(data)
                self.unmapped_bytes_max = max(self.unmapped_bytes_max, self.unmapped_bytes)
            case ask.Sync(file=file):
                self.disk.sync(file)
            case ask.Save(file=file, data=data):
                self.disk.save(file, data)
                if file == MAP_FILE:
                    self.unmapped_bytes = 0
            case ask.Delete(file=file):
                self.disk.delete(file)
            case ask.ReadFile(file=file):
                return [hear.FileRead(file, self.disk.read(file))]
            case ask.HashFile(file=file, size_bytes=size):
                digest = sha256((self.disk.read(file) or b"")[:size]).digest()
                self._later(10 * MS, hear.FileHashed(file, digest))
            case ask.ApplyDelta():
                self._apply(effect)
            case ask.Note(kind=kind):
                self.notes[kind] += 1
            case ask.Act():
                pass
            case _:
                return self._compute(effect)
        return []

    def _compute(self, effect: Any) -> list[Any]:
        """Effects that run a model."""
        match effect:
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
