"""The outbox under any order of sayings, answers, losses and times: nothing stalls, nothing is lost unsaid."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from devicesdk.agent.config import AgentConfig
from devicesdk.agent.effects import Publish
from devicesdk.agent.outbox import Outbox
from devicesdk.agent.snapshot import State
from devicesdk.wire.timebase import MINUTE, NEVER, SECOND
from tests_kit.agent_bundles import shared_of

SMALL = AgentConfig(publishes_in_flight_max=3, telemetry_outbox_windows_max=6, event_outbox_max=4)
STEPS = st.lists(
    st.one_of(
        st.sampled_from(["window", "event", "offline", "online", "heard", "due"]),
        st.tuples(st.sampled_from(["acked", "nobody"]), st.integers(0, 5)),
        st.tuples(st.just("wait"), st.sampled_from([0, SECOND, 31 * SECOND, 20 * MINUTE])),
    ),
    max_size=60,
)


class Device:
    """An outbox, its broker's unanswered publishes, and what was taken."""

    def __init__(self) -> None:
        self.shared = shared_of(SMALL, online=True)
        self.outbox = Outbox(self.shared, State())
        self.shared.take_snapshot = lambda: b"".join(self.outbox.events)
        self.now = self.number = 0
        self.unanswered: dict[int, Publish] = {}
        self.taken: set[bytes] = set()

    def do(self, step: str | tuple[str, int]) -> None:
        name, value = step if isinstance(step, tuple) else (step, 0)
        getattr(self, name)(value) if hasattr(self, name) else self.answer(name, value)
        self.settle()

    def settle(self) -> None:
        """What an agent does after each stimulus."""
        self.outbox.flush(self.now)
        for effect in self.shared.out:
            if isinstance(effect, Publish):
                self.unanswered[effect.token] = effect
        self.shared.out.clear()
        self.outbox.validate()

    def window(self, _: int) -> None:
        self.number += 1
        self.outbox.window(b"w%d" % self.number, self.now)

    def event(self, _: int) -> None:
        self.number += 1
        self.outbox.event("alarm", value=self.number)

    def offline(self, _: int) -> None:
        self.shared.online = False
        self.unanswered.clear()
        self.outbox.offline()

    def online(self, _: int) -> None:
        self.shared.online = True

    def heard(self, _: int) -> None:
        if self.shared.online:
            self.outbox.wake(self.now)

    def wait(self, lasts: int) -> None:
        self.now += lasts
        self.due(0)

    def due(self, _: int) -> None:
        if self.shared.online and not self.outbox.due(self.now):
            self.offline(0)
        assert self.outbox.at > self.now or not self.shared.online, (
            "it would ask to be woken at once"
        )

    def answer(self, name: str, place: int) -> None:
        if self.unanswered:
            token = list(self.unanswered)[place % len(self.unanswered)]
            publish = self.unanswered.pop(token)
            if name == "acked":
                self.taken.add(publish.payload)
                self.outbox.acked(token, self.now)
            else:
                self.outbox.unheard(token, self.now)


@given(STEPS)
def test_when_somebody_is_there_again_everything_that_was_kept_is_taken(steps) -> None:
    device = Device()
    for step in steps:
        device.do(step)
    outbox = device.outbox
    kept = outbox.windows + len(outbox.events)
    device.do("offline")
    assert outbox.windows + len(outbox.events) == kept, "a reconnect loses nothing"
    device.do("online")
    before = len(device.taken)
    for _ in range(kept):
        device.do(("acked", 0))
    assert (outbox.windows, outbox.events, outbox.at) == (0, (), NEVER), "something stays behind"
    assert len(device.taken) >= before


@given(STEPS)
def test_without_a_reconnect_too(steps) -> None:
    device = Device()
    for step in steps:
        device.do(step)
    device.do("online")
    for _ in range(60):
        if device.unanswered:
            device.do(("acked", 0))
        else:
            device.do(("wait", 30 * MINUTE))
    outbox = device.outbox
    assert (outbox.windows, outbox.events) == (0, ()), (
        "a device that is online stays silent for ever"
    )
