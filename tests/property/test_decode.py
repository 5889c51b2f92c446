"""Every class of message, from hostile bytes: a value that is within its bounds and can be written back, or
`BadMessage`; never another exception, and never more memory than a multiple of what came in."""

from __future__ import annotations

import tracemalloc

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devicesdk.wire import codec, limits, messages
from devicesdk.wire.errors import BadMessage
from gateway.core.collect.intake import decode_telemetry, histograms_of
from gateway.core.collect.limits import CollectLimits
from gateway.core.collect.seen import seen

QUICK = settings(derandomize=True, max_examples=60, deadline=None, database=None)
KINDS = sorted(messages.WireMessage.__subclasses__(), key=lambda kind: kind.__name__)
AMPLIFIED_MAX = 64
"""Bytes of objects for each byte that came in: an integer of one byte is 8 in a tuple, an empty map 64."""
LEAVES = st.one_of(
    st.sampled_from([0, 1, -1, 2**16, 2**32, 2**53, 2**53 + 1, 2**63, 2**64 - 1, -(2**63)]),
    st.floats(),
    st.sampled_from([float("nan"), float("inf"), 1e300, 1.0, 0.5]),
    st.booleans(),
    st.none(),
    st.text(max_size=140),
    st.binary(max_size=600),
    st.builds(msgpack.ExtType, st.integers(0, 127), st.binary(max_size=4)),
    st.builds(msgpack.Timestamp, st.integers(0, 2**34)),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=6)
        | st.dictionaries(st.one_of(st.text(max_size=2), st.binary(max_size=2)), inner, max_size=4)
    ),
    max_leaves=8,
)
BOMBS = (
    b"",
    b"\xc1",
    b"\x90",
    b"\x81\x01\x02",
    b"\xdf\xff\xff\xff\xff",
    b"\xdd\xff\xff\xff\xff",
    b"\x81\xa1p\xc6\xff\xff\xff\xff",
    b"\x81\xa1p\xdb\xff\xff\xff\xff",
    b"\x81\xa1d\xc7\xff\xff",
    b"\x81\xa1z" * 20_000 + b"\xc0",
    b"\x91" * limits.MESSAGE_BYTES_MAX,
    b"\x81\xa1z\xa2\xed\xa0",
    b"\x81\xa1z\xd6\xff\xff\xff\xff\xff",
    b"\x81\xa2sh\xdc\x10\x00" + b"\x00" * 4096,
    b"\x81\xa2er\xdc\xff\xff" + b"\x80" * 60_000,
)


def _whole(kind):
    """A message of the class with plausible values, as a map."""
    made = {
        "Ask": {"k": 1, "d": bytes(32), "n": 1, "x": b"\1"},
        "Control": {"c": "wait"},
        "DebugGrant": {"d": "a", "n": 1, "x": 1},
        "Event": {"b": 1, "q": 1, "k": "update"},
        "FlagSnapshot": {"r": 1, "sg": "all", "d": b"{}"},
        "Get": {"x": 1, "q": 1, "b": bytes(32), "o": 0, "n": 1},
        "Have": {"b": 1, "q": 1},
        "KillList": {"v": 1},
        "Link": {"b": 1, "q": 1, "on": True},
        "Signed": {"p": b"", "k": bytes(8), "s": bytes(64)},
        "Telemetry": {"b": 1, "q": 1, "d": bytes(8), "n": 3},
        "TrustHead": {"t": b"", "r": 1},
        "Want": {"d": "a", "g": 1, "r": "r", "m": bytes(32), "mb": 1},
    }  # fmt: skip
    return made[kind.__name__]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_hostile_fields_make_a_value_or_bad_message(kind):
    whole = _whole(kind)
    assert codec.decode(kind, msgpack.packb(whole)), f"{kind.__name__} is not decoded at all"
    keys = sorted(
        {key for key, _ in codec._plan_of(kind) if key}
        | {"extra", "zz", "sh", "dg", "db", "g", "dl", "cp"}
    )

    @QUICK
    @given(st.dictionaries(st.sampled_from(keys), VALUES, max_size=4), st.integers(0, 30))
    def hostile(changed, cut):
        packed = msgpack.packb({**whole, **changed})
        packed = packed[:-cut] if cut > 25 else packed
        _held(kind, packed)

    hostile()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("bomb", BOMBS, ids=lambda bomb: bomb[:6].hex() or "empty")
def test_bombs_cost_no_more_than_they_weigh(kind, bomb):
    tracemalloc.start()
    try:
        _held(kind, bomb)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    most = AMPLIFIED_MAX * len(bomb) + 300_000
    assert peak <= most, f"{len(bomb)} bytes made a {kind.__name__} cost {peak} bytes"


def _held(kind, packed):
    """Decode; what is decoded can be written and read again, and is what it was."""
    try:
        value = codec.decode(kind, packed)
    except BadMessage:
        pass
    else:
        again = codec.encode(value)
        assert codec.encode(codec.decode(kind, again)) == again, (
            f"{value} changes when it is sent on"
        )
    if kind is messages.Telemetry:
        _taken_in(packed)


def _taken_in(packed):
    """The gateway's own quick decoder of telemetry, and what experiments hear of it."""
    bounds = CollectLimits()
    try:
        window = decode_telemetry(packed, bounds)
        histograms_of(window)
    except BadMessage:
        return
    told = seen(window)
    assert 0 <= told.errors <= told.frames <= bounds.window_frames_max
    assert len(told.shadow) in (0, 4)
