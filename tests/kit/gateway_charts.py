"""Driving the gateway core in tests: sequence charts, and a small closed loop that can crash.

`Chart` injects stimuli with ``>>`` and looks for effects with ``<<``; an expectation is partial: a type
and the fields that matter. `Loop` is a host with a store, a broker that retains, and devices that
follow a script; it can kill the gateway between any two effects.
"""

from __future__ import annotations

import heapq
from collections import deque
from hashlib import sha256

from devicesdk.bundle.manifest import BlobRef, Manifest, Variant
from devicesdk.wire import codec
from devicesdk.wire.messages import (
    Event,
    FlagSnapshot,
    Have,
    KillList,
    Link,
    Signed,
    UpdateState,
    Want,
)
from devicesdk.wire.timebase import MS, SECOND
from gateway.core import stimuli
from gateway.core.effects import Persist, Publish
from gateway.core.gateway import Gateway, GatewayConfig
from gateway.core.stimuli import Arrived, GatePlan, RegisterBundle, RolloutPlan

T = UpdateState


class PlainSigner:
    """A `Signer` whose signature is empty: these tests are about what is signed."""

    def seal(self, payload):
        return codec.encode(Signed(payload=payload, key_id=bytes(8), signature=bytes(64)))


def opened(payload):
    """The inside of an envelope."""
    return codec.decode(Signed, payload).payload


def want_of(payload):
    return codec.decode(Want, opened(payload))


def kill_of(payload):
    return codec.decode(KillList, opened(payload))


def flags_of(payload):
    return codec.decode(FlagSnapshot, opened(payload))


def digest_of(name):
    return sha256(name.encode()).digest()


def bundle(name="gauge@1.1.0", hardware=("*",), baseline=None):
    """Registering a bundle of one variant whose digests come from its name."""
    ident, _, version = name.partition("@")
    image = BlobRef(digest_of(f"{name} image").hex(), 100_000)
    hashes = BlobRef(digest_of(f"{name} hashes").hex(), 32 * 7)
    variant = Variant("int8", image, hashes, 16_384, hardware)
    manifest = Manifest(ident, version, 1, (variant,), baseline=baseline or {})
    return RegisterBundle(manifest, digest_of(name), 900)


def plan(name="r1", release="gauge@1.1.0", **fields):
    gate = fields.pop("gate", GatePlan())
    return RolloutPlan(
        name,
        release,
        **{"waves": (0.25, 1.0), "soak_ns": 60 * SECOND, "jitter_ms": 0, "gate": gate, **fields},
    )


def factory(release="gauge@1.0.0"):
    return stimuli.CreateRollout(RolloutPlan("factory", release, initial=True))


def new_gateway(config=None):
    return Gateway(config or GatewayConfig(), PlainSigner(), PlainSigner())


def arrived(device, message):
    kind = {Have: "have", Event: "ev", Link: "link"}[type(message)]
    return Arrived(kind, device, codec.encode(message))


class Chart:
    """A sequence chart of one gateway.

    ``chart >> stimulus`` handles it (now is `chart.now`); ``chart << Effect`` or
    ``chart << (Effect, {"field": value})`` removes the first matching effect of all that are left.
    """

    def __init__(self, machine=None):
        self.machine = machine or new_gateway()
        self.now = 0
        self.left = []
        self.story = []
        self._seqs = {}

    @classmethod
    def with_fleet(cls, count, config=None, labels=None):
        """A gateway with a broker, two bundles, factory state 1.0.0 and `count` devices d000, d001…"""
        chart = cls(new_gateway(config))
        chart >> stimuli.Started(1_700_000_000_000) >> stimuli.BrokerUp(session_present=False)
        chart >> bundle("gauge@1.0.0") >> bundle("gauge@1.1.0") >> factory()
        for number in range(count):
            chart.enroll(f"d{number:03}", labels)
        return chart

    def enroll(self, device, labels=None):
        return self >> stimuli.Enroll(device, labels or {"region": "eu", "hardware": "pi"})

    def have(self, device, **fields):
        """The device's next report."""
        seq = self._seqs[device] = self._seqs.get(device, 0) + 1
        return self >> arrived(device, Have(**{"boot_id": 1, "seq": seq, **fields}))

    def ev(self, device, state, reason="", **fields):
        """The device's next update event."""
        seq = self._seqs[device] = self._seqs.get(device, 0) + 1
        event = {"boot_id": 1, "seq": seq, "kind": "update", "state": state, "reason": reason}
        return self >> arrived(device, Event(**{**event, **fields}))

    def commit(self, device, release="gauge@1.1.0", generation=1):
        """The device says that it runs the release for good."""
        return self.have(
            device, generation=generation, running=digest_of(release), state=T.COMMITTED
        )

    def twin(self, device):
        return self.machine.twin_view(device)

    def rollout(self, name="r1"):
        return next(view for view in self.machine.rollout_views() if view.id == name)

    def wants(self):
        """Wants published in the effects that are left, by device."""
        found = {}
        for publish in self.all(Publish, kind="want"):
            want = want_of(publish.payload)
            found[want.device] = want
        return found

    def __rshift__(self, stimulus):
        self.left = list(self.machine.handle(stimulus, self.now))
        self.story.append(f"{self.now / SECOND:.3f}s >> {stimulus!r:.200}")
        self.story += [f"    << {effect!r:.200}" for effect in self.left]
        self.machine.validate()
        return self

    def __lshift__(self, expected):
        kind, fields = expected if isinstance(expected, tuple) else (expected, {})
        for effect in self.left:
            if isinstance(effect, kind) and all(
                getattr(effect, name) == value for name, value in fields.items()
            ):
                self.left.remove(effect)
                return self
        story = "\n".join(self.story[-30:])
        raise AssertionError(f"expected {kind.__name__} {fields}, found none in:\n{story}")

    def all(self, kind, /, **fields):
        return [
            effect
            for effect in self.left
            if isinstance(effect, kind)
            and all(getattr(effect, name) == value for name, value in fields.items())
        ]

    def notes(self):
        return [effect.kind for effect in self.left if type(effect).__name__ == "Note"]

    def wait(self, duration_ns):
        """Let time pass, answering every deadline; effects of all of them are left."""
        end, collected = self.now + duration_ns, []
        while True:
            due = self.machine.deadline()
            if due is None or due[0] > end:
                break
            self.now = max(self.now, due[0])
            self >> stimuli.DeadlineReached()
            collected += self.left
        self.now, self.left = end, collected
        return self


class Crash(Exception):
    """The gateway process was killed."""


class Device:
    """Follows a script when it sees a new want: how it ends is `fate` by manifest digest."""

    def __init__(self, loop, name, running, fates):
        self.loop, self.name, self.running, self.fates = loop, name, running, fates
        self.seen, self.seq, self.boot, self.attempts = 0, 0, 1, 0
        self.previous, self.trial, self.state, self.reason = running, False, T.IDLE, ""
        self.evs, self.history = 0, []

    def want(self, payload):
        want = want_of(payload)
        if want.generation <= self.seen:
            return None
        self.seen = want.generation
        self.history.append((want.manifest, want.hold))
        if want.hold:
            return self.report(self.state)
        if want.manifest == self.running and not self.trial:
            return self.report(T.COMMITTED)
        self.state, self.reason = T.OFFERED, ""
        steps = self._steps(want)
        for delay, (state, change) in enumerate(steps, 1):
            self.loop.later(delay * SECOND, self._step, want.generation, state, change)
        return None

    def _steps(self, want):
        fate = self.fates.get(want.manifest, "good")
        fate = fate.pop(0) if isinstance(fate, list) else fate
        start = [(T.DOWNLOADING, None)]
        if fate == "link":
            return [*start, (T.FAILED, "link")]
        if fate == "reject":
            return [(T.REJECTED, "hardware")]
        if fate == "kit":
            return [*start, (T.FAILED, "deviation")]
        trial = [*start, (T.VERIFIED, None), (T.TRIAL, want.manifest)]
        if fate == "trial":
            return [*trial, (T.ROLLED_BACK, "latency")]
        return [*trial, (T.COMMITTED, want.manifest)]

    def _step(self, generation, state, change):
        if generation != self.seen:
            return
        self.reason = change if isinstance(change, str) else ""
        if state is T.TRIAL:
            self.previous, self.running, self.trial = self.running, change, True
        elif state is T.ROLLED_BACK:
            self.running, self.trial = self.previous, False
        elif state is T.COMMITTED:
            self.trial = False
        self.report(state)

    def report(self, state):
        self.state = state
        self.evs += 1
        event = Event(
            boot_id=self.boot,
            seq=self.evs,
            kind="update",
            generation=self.seen,
            state=state,
            reason=self.reason,
            digest=self.running,
        )
        self.loop.uplink(self.name, event)
        self.have()

    def have(self):
        self.seq += 1
        message = Have(
            boot_id=self.boot,
            seq=self.seq,
            generation=self.seen,
            running=self.running,
            trial=self.trial,
            state=self.state,
            reason=self.reason,
        )
        self.loop.uplink(self.name, message)


class Loop:
    """A host, a broker and devices. `fuse` counts the points at which a crash could come."""

    def __init__(self, config=None, fuse=0, session_survives=True, validate=True):
        self.config, self.fuse, self.points = config, fuse, 0
        self.validate = validate
        self.session_survives = session_survives
        self.now, self._heap, self._count = 0, [], 0
        self.rows, self.retained, self.devices = {}, {}, {}
        self.queue, self.published, self.stories = deque(), [], []
        self.crashes = 0
        self.core = None

    # -- time

    def later(self, delay_ns, act, *args):
        self._count += 1
        heapq.heappush(self._heap, (self.now + delay_ns, self._count, act, args))

    def run(self, until_ns):
        """Events, inbound messages and deadlines, in order, until the instant."""
        while True:
            if self.queue:
                self._inbound()
                continue
            due = self.core.deadline()
            at = max(due[0], self.now) if due is not None else until_ns + 1
            soonest = self._heap[0][0] if self._heap else until_ns + 1
            if min(at, soonest) > until_ns:
                break
            if soonest <= at:
                self.now, _, act, args = heapq.heappop(self._heap)
                act(*args)
            else:
                self.now = at
                self.tell(stimuli.DeadlineReached())
        self.now = until_ns

    # -- the host

    def start(self):
        self.core = new_gateway(self.config)
        self.core.restore([(table, key, row) for (table, key), row in self.rows.items()], self.now)
        self.tell(stimuli.Started(1_700_000_000_000 + self.now // MS))
        self.tell(stimuli.BrokerUp(self.session_survives and self.crashes > 0))

    def tell(self, stimulus):
        """Hand over a stimulus; True when its batch was performed to the end."""
        try:
            self._perform(self.core.handle(stimulus, self.now))
        except Crash:
            self.crashes += 1
            self.now += SECOND
            self.start()
            return False
        if self.validate:
            self.core.validate()
        return True

    def ask(self, stimulus):
        """As an operator: no answer, ask again."""
        while not self.tell(stimulus):
            pass

    def _inbound(self):
        device, message = self.queue[0]
        # Acknowledged after the batch: a crash leaves it at the head of the queue.
        if self.tell(arrived(device, message)):
            self.queue.popleft()

    def _perform(self, effects):
        self._point()
        for effect in effects:
            if type(effect) is Persist:
                if effect.row is None:
                    self.rows.pop((effect.table, effect.key), None)
                else:
                    self.rows[effect.table, effect.key] = effect.row
        acked = []
        for effect in effects:
            if type(effect) is Publish:
                self._point()
                self._publish(effect)
                if effect.token:
                    acked.append(effect.token)
        self._point()
        if acked:
            self.later(MS, self._ack, acked, self.crashes)

    def _ack(self, tokens, life):
        for token in tokens:
            if life == self.crashes:
                self.tell(stimuli.PubAcked(token))

    def _point(self):
        self.points += 1
        if self.points == self.fuse:
            raise Crash

    # -- the broker

    def _publish(self, effect):
        self.published.append(effect)
        if effect.retain:
            self.retained[effect.topic] = effect.payload
        if effect.kind == "want":
            device = self.devices.get(effect.topic.split("/")[-2])
            if device is not None:
                self.later(MS, device.want, effect.payload)
        if effect.kind == "ctl":
            device = self.devices.get(effect.topic.split("/")[-2])
            if device is not None:
                self.later(MS, device.have)

    def uplink(self, device, message):
        self.queue.append((device, message))

    def add_device(self, name, running=b"", fates=None, labels=None):
        device = self.devices[name] = Device(self, name, running, fates or {})
        self.ask(stimuli.Enroll(name, labels or {"region": "eu", "hardware": "pi", "power": "ac"}))
        self.uplink(name, Link(boot_id=1, session=1, online=True))
        device.have()
        return device
