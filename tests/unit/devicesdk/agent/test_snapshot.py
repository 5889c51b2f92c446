"""The state file: the same after reading, refused when damaged."""

from __future__ import annotations

from hashlib import sha256

import msgspec
import pytest

from devicesdk.agent.snapshot import (
    CHECK_BYTES,
    Bad,
    Slot,
    State,
    StateUnreadable,
    Status,
    Trial,
    decode_state,
    encode_state,
)
from devicesdk.bundle.trust import ROLE_DIRECTOR
from devicesdk.wire.messages import UpdateState
from tests_kit.agent_bundles import VERIFIER, Bundle, want_of

FULL = State(
    committed="a",
    a=Slot(manifest=b"m" * 32, variant="int8", image=b"i" * 32, size_bytes=9, verified=True),
    b=Slot(manifest=b"n" * 32, variant="fp32", verified=True, proven=True),
    trial=Trial(slot="b", generation=4, deployment="r", attempt=1, trial_ms=5, boots=1),
    want=VERIFIER.open(ROLE_DIRECTOR, want_of(Bundle(1), 4)),
    status=Status(UpdateState.TRIAL, "why", 4),
    bad=(Bad(b"x" * 32, 2), Bad(b"y" * 32, 1, banned=True)),
    kill_version=7,
    killed=("gauge",),
    flags_rev=3,
    flags=b"{}",
    events=(b"one", b"two"),
)


@pytest.mark.parametrize("state", [State(), FULL])
def test_a_state_survives_its_file(state):
    assert decode_state(encode_state(state)) == state


def test_any_flipped_bit_is_noticed():
    data = encode_state(FULL)
    for place in range(len(data)):
        damaged = bytearray(data)
        damaged[place] ^= 0x10
        with pytest.raises(StateUnreadable):
            decode_state(bytes(damaged))


def _sealed(body):
    return body + sha256(body).digest()[:CHECK_BYTES]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        msgspec.msgpack.encode({"version": 2}),
        msgspec.msgpack.encode({"committed": "c"}),
        msgspec.msgpack.encode({"want": b"no want"}),
        msgspec.msgpack.encode({"committed": 5}),
    ],
)
def test_a_state_that_is_none_is_refused(body):
    with pytest.raises(StateUnreadable, match="expected"):
        decode_state(_sealed(body))


def test_fields_of_a_newer_version_are_skipped():
    assert decode_state(_sealed(msgspec.msgpack.encode({"new": 1, "committed": "b"}))) == State(
        committed="b"
    )
