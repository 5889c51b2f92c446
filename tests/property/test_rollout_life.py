"""Whatever devices, operators and brokers do, books and twins agree and every rollout can end.

Random scripts: reports and events with any state, digest and generation near the wanted one, verbs,
new rollouts, broker trouble, restarts from durable rows, and time. The whole state is validated after
every stimulus. At the end the world calms down, and each rollout must end or say what it waits for.
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from devicesdk.wire.messages import UpdateState as S
from devicesdk.wire.timebase import DAY, HOUR, MINUTE, SECOND
from gateway.core import stimuli
from gateway.core.effects import Persist, Publish
from gateway.core.gateway import GatewayConfig
from gateway.core.limits import ControlLimits
from gateway.core.stimuli import GatePlan
from tests_kit.gateway_charts import Chart, bundle, digest_of, factory, new_gateway, plan

DEVICES = [f"d{n}" for n in range(7)]
RELEASES = ["gauge@1.0.0", "gauge@1.1.0", "gauge@1.2.0"]
REASONS = ["", "link", "validation:nan", "integrity", "storage", "hardware"]
VERBS = ["pause", "resume", "abort-keep", "abort-revert", "retry"]
CONFIG = GatewayConfig(control=ControlLimits(page_devices=2, outbox_in_flight_max=3, retries_max=1))

device = st.sampled_from(DEVICES)
state = st.sampled_from(list(S))
step = st.one_of(
    st.tuples(
        st.just("have"), device, state, st.sampled_from(RELEASES), st.integers(-1, 1), st.booleans(),
        st.sampled_from(REASONS),
    ),
    st.tuples(st.just("good"), device),
    st.tuples(st.just("ev"), device, state, st.integers(-1, 1), st.sampled_from(REASONS)),
    st.tuples(st.just("verb"), st.sampled_from(["r1", "r2"]), st.sampled_from(VERBS)),
    st.tuples(st.just("roll"), st.sampled_from(["r1", "r2"]), st.sampled_from(["revert", "hold"])),
    st.tuples(st.just("broker"), st.booleans()),
    st.tuples(st.just("restart"), st.booleans()),
    st.tuples(st.just("enroll"), st.sampled_from([*DEVICES, "late"]), st.sampled_from(["eu", "us"])),
    st.tuples(st.just("wait"), st.sampled_from([0, SECOND, 2 * MINUTE, HOUR, 2 * DAY])),
)  # fmt: skip


class Story(Chart):
    """A chart that keeps durable rows and acknowledges what was published after each stimulus."""

    def __init__(self):
        super().__init__(new_gateway(CONFIG))
        self.rows = {}
        self.tokens = []
        self.generations = {}
        self >> stimuli.Started(1_700_000_000_000) >> stimuli.BrokerUp(session_present=False)
        for name in RELEASES:
            self >> bundle(name)
        self >> factory()
        for name in DEVICES:
            self.enroll(name)

    def __rshift__(self, stimulus):
        super().__rshift__(stimulus)
        for effect in self.left:
            if isinstance(effect, Persist):
                self.rows[effect.table, effect.key] = effect.row
            elif isinstance(effect, Publish) and effect.token:
                self.tokens.append(effect.token)
        for name, want in self.wants().items():
            before = self.generations.get(name, 0)
            assert want.generation >= before, f"{name}: generation {want.generation} after {before}"
            self.generations[name] = want.generation
        return self

    def acknowledge(self):
        while self.tokens:
            self >> stimuli.PubAcked(self.tokens.pop(0))

    def restart(self, session):
        self.machine = new_gateway(CONFIG)
        stored = [(table, key, row) for (table, key), row in self.rows.items() if row is not None]
        self.machine.restore(stored, self.now)
        self >> stimuli.Started(1_700_000_000_000 + self.now // 1_000_000)
        self >> stimuli.BrokerUp(session_present=session)

    def good(self, name):
        """The device runs what is wanted of it."""
        twin = self.twin(name)
        running = bytes.fromhex(twin.wanted)
        self.have(name, generation=twin.generation, running=running, state=S.COMMITTED)


def play(story, action):
    kind, *rest = action
    if kind == "have":
        name, at, release, ahead, trial, reason = rest
        generation = max(0, story.twin(name).generation + ahead)
        story.have(
            name, generation=generation, running=digest_of(release), state=at, trial=trial, reason=reason
        )  # fmt: skip
    elif kind == "good":
        story.good(*rest)
    elif kind == "ev":
        name, at, ahead, reason = rest
        generation = max(0, story.twin(name).generation + ahead)
        story.ev(name, at, reason, generation=generation, digest=digest_of(RELEASES[1]))
    elif kind == "verb":
        story >> stimuli.SteerRollout(*rest)
    elif kind == "roll":
        name, on_halt = rest
        release = RELEASES[1] if name == "r1" else RELEASES[2]
        gate = GatePlan(quorum=0.9)
        waves = (0.3, 0.6, 1.0)
        story >> stimuli.CreateRollout(plan(name, release, on_halt=on_halt, gate=gate, waves=waves))
    elif kind == "broker":
        story >> stimuli.BrokerDown("reset") >> stimuli.BrokerUp(session_present=rest[0])
    elif kind == "restart":
        story.restart(*rest)
    elif kind == "enroll":
        story.enroll(rest[0], {"region": rest[1], "hardware": "pi"})
    else:
        story.wait(*rest)
    story.acknowledge()


@settings(max_examples=120, deadline=None, derandomize=True)
@given(st.lists(step, max_size=40))
def test_books_agree_and_every_rollout_ends_or_says_what_it_waits_for(script):
    story = Story()
    for action in script:
        play(story, action)
    for name in ("r1", "r2"):
        story >> stimuli.SteerRollout(name, "resume")
    known = [name for name in (*DEVICES, "late") if story.twin(name) is not None]
    for _ in range(12):
        story.wait(2 * HOUR)
        story.acknowledge()
        for name in known:
            story.good(name)
            story.acknowledge()
    for view in story.machine.rollout_views():
        ended = view.state in ("completed", "halted", "aborted")
        assert ended or (view.state, bool(view.why)) == ("waiting", True) or "nobody" in view.why, (
            view
        )
    for name in known:
        twin = story.twin(name)
        assert twin.outcome in ("committed", "stopped", "failed", "rejected", "rolled_back",
                                "superseded") or twin.hold, f"{name} is left open: {twin}"  # fmt: skip
    assert story.machine.overview().outbox_rows == 0, "something decided was never published"
    again = story.machine.rollout_views()
    story.restart(session=True)
    assert story.machine.rollout_views() == again, "a restart changed the books"
