"""Whatever devices ask and control says: only granted bytes go, within the budget, and each request is
answered exactly once."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from devicesdk.wire import codec, limits
from devicesdk.wire.errors import Nack
from devicesdk.wire.messages import Get
from devicesdk.wire.timebase import MS, SECOND
from gateway.core.effects import Publish, SendRound
from gateway.core.internal import BlobKnown, Granted, Paused, Revoked
from gateway.core.stimuli import Arrived, DeadlineReached
from gateway.core.transfers.limits import TransferLimits
from gateway.core.transfers.transfers import Transfers

QUICK = settings(derandomize=True, max_examples=120, deadline=None, database=None)
KIB = 1024
BLOBS = {bytes([n]) * 32: (size, chunk) for n, (size, chunk) in enumerate(
    [(70 * KIB + 3, 4 * KIB), (1000 * KIB, 16 * KIB), (5, 16 * KIB), (900 * KIB, 128 * KIB)]
)}  # fmt: skip
BOUNDS = TransferLimits(
    bytes_per_s_max=400 * KIB,
    burst_bytes_max=300 * KIB,
    deployment_bytes_per_s_max=300 * KIB,
    deployment_burst_bytes_max=200 * KIB,
    active_max=3,
    refusals_max=2,
    lease_ns=2 * SECOND,
)

DEVICES = st.integers(0, 5)
REQUESTS = st.tuples(
    st.just("get"),
    DEVICES,
    st.tuples(
        st.integers(0, 2), st.integers(0, 5), st.sampled_from([*BLOBS, b"?" * 32]),
        st.integers(0, 70), st.integers(1, 40), st.binary(max_size=8), st.integers(0, 200 * KIB),
    ),
)  # fmt: skip
STEPS = st.lists(
    st.one_of(
        REQUESTS,
        REQUESTS,
        st.tuples(st.just("junk"), DEVICES, st.binary(max_size=40)),
        st.tuples(st.just("grant"), DEVICES, st.integers(0, 1000)),
        st.tuples(st.just("revoke"), DEVICES, st.sampled_from(Nack)),
        st.tuples(st.just("pause"), st.integers(0, 1), st.booleans()),
        st.tuples(st.just("wait"), st.just(0), st.integers(0, 3000)),
    ),
    max_size=60,
)


def stimulus(step):
    kind, who, what = step
    device = f"d{who}"
    match kind:
        case "get":
            transfer, seq, blob, base, count, bitmap, credit = what
            asked = Get(transfer=transfer, seq=seq, blob=blob, base=base, count=count,
                        bitmap=bitmap, credit=credit)  # fmt: skip
            return Arrived("get", device, codec.encode(asked))
        case "junk":
            return Arrived("get", device, what)
        case "grant":
            return Granted(device, f"r{who % 2}", b"m" * 32, tuple(BLOBS), what)
        case "revoke":
            return Revoked(device, what)
        case "pause":
            return Paused(f"r{who}", what)
    return DeadlineReached()


def check_round(sent: SendRound, granted: dict[str, str], paused: set[str]) -> int:
    """The bytes of a round that is allowed."""
    size, chunk = BLOBS[sent.blob]
    assert sent.device in granted
    assert granted[sent.device] not in paused
    assert sent.chunk_bytes == chunk
    assert list(sent.indices) == sorted(set(sent.indices))
    assert sent.indices
    assert sent.indices[-1] * chunk < size
    total = sum(min(chunk, size - index * chunk) for index in sent.indices)
    assert total <= limits.ROUND_BYTES_MAX
    return total


@QUICK
@given(STEPS)
def test_the_machine_keeps_its_promises(steps):
    served = Transfers(BOUNDS)
    for blob, (size, chunk) in BLOBS.items():
        served.handle(BlobKnown(blob, size, chunk), 0)
    granted: dict[str, str] = {}
    paused: set[str] = set()
    now = spent = 0
    for step in steps:
        kind, who, what = step
        if kind == "wait":
            now += what * MS
        before = served.duplicates
        effects = served.handle(stimulus(step), now)
        served.validate()
        answers = [e for e in effects if isinstance(e, SendRound | Publish)]
        expected = int(kind in {"get", "junk"} and served.duplicates == before)
        assert len(answers) == expected, f"{step} was answered by {answers}"
        if kind == "grant":
            granted[f"d{who}"] = f"r{who % 2}"
        elif kind == "revoke":
            granted.pop(f"d{who}", None)
        elif kind == "pause":
            (paused.add if what else paused.discard)(f"r{who}")
        for answer in answers:
            if isinstance(answer, SendRound):
                spent += check_round(answer, granted, paused)
        room = BOUNDS.burst_bytes_max + BOUNDS.bytes_per_s_max * now // SECOND
        assert spent <= room + 1, f"{spent} bytes sent where {room} were allowed"
