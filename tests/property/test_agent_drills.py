"""Anything, in any order: wants, holds, kills, flags, power cuts, disconnects, garbage, full flash.

Then the world calms down, one last want comes, and the device must get there. After every stimulus the
agent is validated; what runs is checked against the disk by the rig.
"""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from devicesdk.agent import stimuli as hear
from devicesdk.agent.agent import Agent
from devicesdk.agent.config import AgentConfig
from devicesdk.wire.timebase import MINUTE, SECOND
from tests_kit.agent_bundles import VERIFIER, Bundle, flags_of, kill_of, want_of
from tests_kit.agent_rig import PowerCut, Rig

OLD, NEW, FINE, BAD = Bundle(1), Bundle(2), Bundle(3, size=40_000, chunk_bytes=4096), Bundle(5)
TWIN = Bundle(4, image=NEW.image)
TINY_CHUNKS = Bundle(6, size=70_000, chunk_bytes=256, manifest_padding=5_000)
BUNDLES = (NEW, FINE, TWIN, BAD, TINY_CHUNKS, OLD)
TARGETS = (NEW, FINE, TWIN, TINY_CHUNKS)
GAUGE = b'{"flags":{"gauge":{"state":"ENABLED","variants":{"on":true,"off":false},"defaultVariant":"%s"}}}'

bundles = st.sampled_from(range(len(BUNDLES)))
tears = st.sampled_from(["none", "half", "all", "late"])
operations = st.one_of(
    st.tuples(st.just("want"), bundles, st.booleans()),
    st.tuples(st.just("kill"), st.booleans()),
    st.tuples(st.just("flag"), st.booleans()),
    st.tuples(st.just("cut"), tears),
    st.tuples(st.just("fuse"), st.integers(0, 40), tears),
    st.tuples(st.just("disconnect")),
    st.tuples(st.just("cut before"), st.integers(0, 10)),
    st.tuples(
        st.just("garbage"),
        st.sampled_from(["want", "kill", "flags", "ctl", "dat", "other"]),
        st.binary(max_size=60),
    ),
    st.tuples(st.just("weather"), st.integers(0, 100), st.booleans(), st.integers(0, 90)),
    st.tuples(st.just("full"), st.sampled_from(["state", "map", "slot-a", "slot-b"])),
    st.tuples(st.just("bearer"), st.booleans()),
)
drills = st.lists(st.tuples(operations, st.integers(0, 40)), max_size=25)


class Drill:
    """Applies operations to a rig."""

    def __init__(self, *, factory, small, seed):
        config = AgentConfig(window_ns=MINUTE)
        if small:
            config = AgentConfig(window_ns=MINUTE, checkpoint_bytes=8_192)
        self.rig = Rig(*BUNDLES[:-1], factory=OLD, config=config, seed=seed)
        if not factory:
            self.rig = Rig(*BUNDLES, config=config, seed=seed)
        self.rig.error_in = {BAD.digest}
        self.numbers = 0
        self.rig.boot()

    def apply(self, operation, steps):
        name, *arguments = operation
        getattr(self, name.replace(" ", "_"))(*arguments)
        self.steps(steps)

    def steps(self, count, tear="half"):
        for _ in range(count):
            try:
                self.rig.step()
            except PowerCut:
                self.rig.cut_power(tear)

    def number(self):
        self.numbers += 1
        return self.numbers

    def want(self, bundle, hold):
        self.rig.publish("want", want_of(BUNDLES[bundle], self.number(), hold=hold, jitter_ms=900))

    def kill(self, dead):
        self.rig.publish("kill", kill_of(self.number(), *(["gauge"] if dead else [])))

    def flag(self, on):
        self.rig.publish("flags", flags_of(self.number(), GAUGE % (b"on" if on else b"off")))

    def cut(self, tear):
        self.rig.cut_power(tear)

    def fuse(self, effects, tear):
        self.rig.fuse = effects
        self.steps(30, tear)
        self.rig.fuse = -1

    def disconnect(self):
        if self.rig.connected:
            self.rig.disconnect()

    def cut_before(self, messages):
        self.rig.cut_before_message = self.rig.messages + messages

    def garbage(self, kind, payload):
        self.rig.hear(hear.Arrived(kind, payload))

    def weather(self, battery, plugged, chip_c):
        self.rig.hear(hear.ConditionsChanged(hear.Conditions(battery, plugged, chip_c)))

    def full(self, file):
        self.rig.hear(hear.StorageFailed(file, "full"))

    def bearer(self, up):
        self.rig.hear(hear.BearerChanged(up))

    def calm(self, target):
        """Everything heals, and one last want must be followed."""
        self.rig.cut_before_message = -1
        self.bearer(up=True)
        self.kill(dead=False)
        self.rig.publish("flags", flags_of(self.number(), b'{"flags":{}}'))
        generation = self.number()
        self.rig.publish("want", want_of(target, generation))
        rig = self.rig
        rig.run(lambda: rig.committed(target) and rig.reported().generation == generation)


@settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
@given(
    drills,
    st.sampled_from(range(len(TARGETS))),
    st.booleans(),
    st.booleans(),
    st.integers(0, 5),
)
def test_after_anything_a_device_gets_there(operations, target, factory, small, seed):
    drill = Drill(factory=factory, small=small, seed=seed)
    for operation, steps in operations:
        drill.apply(operation, steps)
    drill.calm(TARGETS[target])
    rig = drill.rig
    windows = len(rig.telemetry)
    rig.run_for(5 * MINUTE)
    assert len(rig.telemetry) > windows, "the device runs and reports nothing"
    tried = sum(manifest == BAD.digest for _, manifest in rig.runs)
    boots = rig.boot_id
    assert tried <= boots + 1, f"a bad bundle ran {tried} times in {boots} boots"


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(drills, st.integers(0, 3))
def test_the_same_happenings_give_the_same_effects(operations, seed):
    def story():
        drill = Drill(factory=True, small=False, seed=seed)
        for operation, steps in operations:
            drill.apply(operation, steps)
        rig = drill.rig
        return rig.effects, rig.now, rig.notes, rig.agent.snapshot(), rig.agent.deadline()

    assert story() == story()


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(drills, st.integers(0, 3))
def test_the_state_file_always_says_what_a_boot_must_know(operations, seed):
    drill = Drill(factory=True, small=False, seed=seed)
    for operation, steps in operations:
        drill.apply(operation, steps)
        rig = drill.rig
        state = rig.agent.snapshot()
        again = Agent.restore(rig.config, rig.identity, VERIFIER, seed, state, None)
        assert again.snapshot() == state
    drill.rig.now += SECOND
