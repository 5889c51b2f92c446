"""Whatever bytes come on whatever topic: neither machine raises, both stay valid, what they store can be
read back, and what a device takes for true was signed."""

from __future__ import annotations

import msgpack
from hypothesis import given, settings
from hypothesis import strategies as st

from devicesdk.agent import effects as ask
from devicesdk.agent import stimuli as hear
from devicesdk.agent.config import AgentConfig
from devicesdk.wire import codec, limits, topics
from devicesdk.wire.messages import (
    Control,
    Event,
    FlagSnapshot,
    Get,
    Have,
    KillList,
    Link,
    Signed,
    Telemetry,
    Want,
)
from devicesdk.wire.timebase import MS, SECOND
from gateway.core import rows
from gateway.core.effects import Persist
from gateway.core.stimuli import Arrived, CreateRollout, DeadlineReached
from tests_kit import gateway_charts
from tests_kit.agent_bundles import DEVICE, SIGNERS, Bundle, want_of
from tests_kit.agent_charts import Agents
from tests_kit.charts import Chart, Never
from tests_kit.hostile_stage import HOSTILE

QUICK = settings(derandomize=True, max_examples=120, deadline=None, database=None)
KINDS = (Have, Link, Get, Event, Telemetry, Want, Control, KillList, FlagSnapshot, Signed)
NEW = Bundle(2, 60_000)
EDGES = st.sampled_from(
    [0, 1, -1, 5, 2**16, 2**32 - 1, 2**32, 2**52, 2**53, 2**53 + 1, 2**63, 2**64 - 1, -(2**63)]
)
DIGESTS = st.sampled_from(
    [
        gateway_charts.digest_of("gauge@1.1.0"),
        gateway_charts.digest_of("gauge@1.1.0 image"),
        NEW.digest,
    ]
)
LEAVES = st.one_of(
    EDGES,
    st.integers(0, 15),
    st.booleans(),
    st.none(),
    st.floats(),
    st.text(max_size=130),
    st.binary(max_size=70),
    st.sampled_from(
        ["wait", "nack", "report", "update", "alarm", "Gone", "busy", "a", "all", DEVICE]
    ),
    DIGESTS,
    st.binary(min_size=64, max_size=64),
    st.builds(msgpack.ExtType, st.integers(0, 127), st.binary(max_size=4)),
    st.builds(msgpack.Timestamp, st.integers(0, 2**34)),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3)
    ),
    max_leaves=5,
)
KEYS = sorted({key for kind in KINDS for key, _ in codec._plan_of(kind) if key} | {"extra", "zz"})
PLAUSIBLE = {
    Have: {"b": 1, "q": 1, "g": 1, "st": 8},
    Link: {"b": 1, "q": 1, "on": True},
    Get: {"x": 1, "q": 1, "b": gateway_charts.digest_of("gauge@1.1.0 image"), "o": 0, "n": 4},
    Event: {"b": 1, "q": 1, "k": "update", "g": 1, "st": 10},
    Telemetry: {"b": 1, "q": 1, "d": bytes(8), "n": 3},
    Want: {"d": DEVICE, "g": 3, "r": "r", "m": NEW.digest, "mb": len(NEW.envelope)},
    Control: {"c": "wait", "x": 65_537, "q": 1},
    KillList: {"v": 1, "f": ["gauge"]},
    FlagSnapshot: {"r": 1, "sg": "all", "d": b'{"flags":{}}'},
    Signed: {"p": b"", "k": bytes(8), "s": bytes(64)},
}


@st.composite
def nearly_messages(draw):
    """A message of some kind with a few fields changed, added or gone, and perhaps cut short."""
    kind = draw(st.sampled_from(KINDS))
    body = dict(PLAUSIBLE[kind])
    body.update(draw(st.dictionaries(st.sampled_from([*body, *KEYS]), VALUES, max_size=3)))
    for key in draw(st.lists(st.sampled_from(sorted(body)), max_size=1)):
        body.pop(key, None)
    packed = msgpack.packb(body)
    cut = draw(st.integers(0, 20))
    return packed[:-cut] if cut > 17 else packed


PAYLOADS = st.one_of(
    nearly_messages(),
    nearly_messages(),
    st.binary(max_size=300),
    st.sampled_from(list(HOSTILE.values())),
    st.sampled_from([b"\x91" * limits.MESSAGE_BYTES_MAX, b"\x81\xa1a" * 1_000 + b"\x01"]),
)
LATER_NS = st.sampled_from([0, 1, MS, SECOND, 100 * SECOND])
UPLINK = st.lists(
    st.tuples(
        st.sampled_from(topics.DEVICE_KINDS),
        st.sampled_from(["d000", "d001", "stranger"]),
        PAYLOADS,
        st.booleans(),
        LATER_NS,
    ),
    min_size=1,
    max_size=25,
)
SEALS = st.sampled_from([None, *sorted(SIGNERS)])
DOWNLINK = st.lists(
    st.tuples(
        st.sampled_from([*topics.DEVICE_KINDS, topics.KILL, topics.FLAGS, "?"]),
        PAYLOADS,
        SEALS,
        st.booleans(),
        LATER_NS,
    ),
    min_size=1,
    max_size=25,
)


@QUICK
@given(UPLINK)
def test_the_gateway_survives_any_bytes_on_any_kind(steps):
    chart = gateway_charts.Chart.with_fleet(2)
    chart >> CreateRollout(gateway_charts.plan())
    for kind, device, payload, retained, later in steps:
        chart.now += later
        chart >> Arrived(kind, device, payload, retained)
        _can_be_read_back(chart.left)
        _can_be_read_back(chart.machine.checkpoint(chart.now))
        due = chart.machine.deadline()
        if due is not None and due[0] <= chart.now:
            chart >> DeadlineReached()
            _can_be_read_back(chart.left)
    assert chart.machine.overview().enrolled == 2


def _can_be_read_back(effects):
    for effect in effects:
        if isinstance(effect, Persist) and effect.row is not None:
            assert rows.decode(type(effect.row), rows.encode(effect.row)) == effect.row


@QUICK
@given(DOWNLINK, st.booleans())
def test_a_device_survives_any_bytes_on_any_kind(steps, updating):
    agents = Agents(Bundle(1, 2_000), AgentConfig())
    chart = agents.online()
    if updating:
        chart >> hear.Arrived(topics.WANT, want_of(NEW, 2), True)
    for kind, payload, role, retained, later in steps:
        chart.now += later
        sealed = payload if role is None else SIGNERS[role].seal(payload)
        chart >> hear.Arrived(kind, sealed, retained)
        due = chart.machine.deadline()
        if due is not None and due[0] <= chart.now:
            chart >> hear.DeadlineReached()


ROLES = {topics.KILL: "flags", topics.FLAGS: "flags", topics.WANT: "director"}
"""Which role's signature counts on which kind."""


@st.composite
def wrongly_signed(draw):
    """A kind, and a payload that its role did not sign: unsigned, by another role, or changed afterwards."""
    kind = draw(st.sampled_from(sorted(ROLES)))
    said = draw(st.one_of(nearly_messages(), st.binary(max_size=300)))
    how = draw(st.sampled_from(["unsigned", "changed", *sorted(SIGNERS)]))
    if how == "unsigned":
        return kind, said
    if how == "changed" or how == ROLES[kind]:
        sealed = bytearray(SIGNERS[ROLES[kind]].seal(said))
        place = draw(st.integers(0, 8 * len(sealed) - 1))
        sealed[place // 8] ^= 1 << place % 8
        return kind, bytes(sealed)
    return kind, SIGNERS[how].seal(said)


@QUICK
@given(st.lists(wrongly_signed(), max_size=25))
def test_a_device_takes_nothing_for_true_that_the_right_key_did_not_sign(steps):
    chart: Chart = Agents(Bundle(1, 2_000), AgentConfig()).online()
    before = chart.machine.snapshot()
    for kind, payload in steps:
        chart >> hear.Arrived(kind, payload, True)
        chart << Never(ask.Save)
    assert chart.machine.snapshot() == before
