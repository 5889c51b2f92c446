"""Sequence charts of one agent: what it hears and says on the way through an update."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from devicesdk.agent import effects as ask
from devicesdk.agent import stimuli as hear
from devicesdk.agent.agent import Agent
from devicesdk.agent.config import AgentConfig
from devicesdk.wire import codec, topics
from devicesdk.wire.messages import (
    Event,
    Get,
    Have,
    Link,
    Telemetry,
)
from devicesdk.wire.timebase import MS
from tests_kit.agent_bundles import VERIFIER, Bundle, Gateway, identity_of, want_of
from tests_kit.charts import DUE, Asks, Chart

CALM = hear.Conditions()


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
    dial(chart) >> hear.Connected(session_present=False)
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


def report_due(chart: Chart) -> int | None:
    """When the device answers what the whole segment heard; None: it has nothing to answer."""
    return {why: at for at, why in chart.machine.dues()}.get("report")


def answer(chart: Chart) -> Chart:
    """Let time pass until it has."""
    if (at := report_due(chart)) is not None:
        chart.now = max(chart.now, at)
        chart >> hear.DeadlineReached()
    assert report_due(chart) is None, "the answer's timer is not put away"
    return acknowledge(chart)


def dial(chart: Chart) -> Chart:
    """Let time pass until the device connects."""
    for _ in range(100):
        if [effect for effect in chart.left if isinstance(effect, ask.Connect)]:
            return chart
        chart >> DUE
    raise AssertionError(chart._story("expected a Connect within 100 deadlines"))


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
