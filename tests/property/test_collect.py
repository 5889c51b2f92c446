"""Telemetry is counted once, in any order, and nothing that a device sends can hurt."""

from __future__ import annotations

import msgpack
from hypothesis import given, settings
from hypothesis import strategies as st

from devicesdk.sketches.histogram import pack, unpack
from devicesdk.wire import codec
from devicesdk.wire.messages import Telemetry
from devicesdk.wire.timebase import MINUTE
from gateway.core.collect import totals
from gateway.core.collect.collect import Collect
from gateway.core.collect.limits import CollectLimits
from gateway.core.collect.rows import WINDOW
from gateway.core.collect.sources import REACH, Source
from gateway.core.effects import Persist
from gateway.core.internal import DeviceLabelled
from gateway.core.stimuli import Arrived, DeadlineReached

QUICK = settings(derandomize=True, max_examples=60, deadline=None, database=None)


def spread(bins: int, frames: int, salt: int) -> list[int]:
    counts = [0] * bins
    for frame in range(frames):
        counts[(frame * salt + salt) % bins] += 1
    return counts


def telemetry(seq: int, frames: int, salt: int, boot_id: int = 1, bundle: bytes = b"b1") -> bytes:
    return codec.encode(
        Telemetry(
            boot_id=boot_id,
            seq=seq,
            bundle=bundle,
            frames=frames,
            confidence=pack(spread(20, frames, salt)),
            entropy=pack(spread(16, frames, salt)),
            latency=pack(spread(16, frames, salt)),
            features=b"".join(pack(spread(10, frames, salt + i)) for i in range(8)),
            errors={"E": salt} if salt % 3 else {},
            probe_residual=salt if salt % 2 else None,
        )
    )


MESSAGES = st.lists(
    st.tuples(
        st.integers(0, 4),  # device
        st.integers(0, 30),  # seq
        st.sampled_from([0, 1, 4, 200]),  # frames
        st.integers(1, 40),  # salt
        st.sampled_from([b"b1", b"b2"]),
    ),
    max_size=40,
    unique_by=lambda item: item[:2],
)


def fed(messages, block: int = 256) -> Collect:
    collect = Collect(CollectLimits(block_messages=block))
    for device in range(5):
        labels = {"hardware": f"h{device % 2}", "region": "eu"}
        collect.handle(DeviceLabelled(f"d{device}", labels), 0)
    for device, seq, frames, salt, bundle in messages:
        payload = telemetry(seq, frames, salt, bundle=bundle)
        collect.handle(Arrived("tel", f"d{device}", payload), 0)
    return collect


def closed(collect: Collect):
    due = collect.deadline()
    if due is None:
        return ()
    effects = collect.handle(DeadlineReached(), due[0])
    [row] = [e.row for e in effects if isinstance(e, Persist) and e.table == WINDOW]
    collect.validate()
    return row.cohorts


def interleaved(messages, shuffler):
    """Another order, in which each device says what it says one after the other."""
    turns = [device for device, *_ in messages]
    shuffler.shuffle(turns)
    own = {device: iter([one for one in messages if one[0] == device]) for device in turns}
    return [next(own[device]) for device in turns]


@QUICK
@given(MESSAGES, st.randoms(use_true_random=False), st.integers(1, 9))
def test_neither_the_turns_of_devices_nor_block_size_change_a_number(messages, shuffler, block):
    assert closed(fed(messages)) == closed(fed(interleaved(messages, shuffler), block))


@QUICK
@given(MESSAGES, st.randoms(use_true_random=False), st.integers(1, 9))
def test_no_order_changes_a_number_where_nobody_fails_in_a_row(messages, shuffler, block):
    """Odd salts come with a probe, and failures in a row have an order by their nature."""
    messages = [(*one[:3], one[3] & ~1, one[4]) for one in messages]
    shuffled = list(messages)
    shuffler.shuffle(shuffled)
    assert closed(fed(messages)) == closed(fed(shuffled, block))


@QUICK
@given(MESSAGES)
def test_frames_in_are_frames_in_the_histograms(messages):
    collect = fed(messages)
    collect.validate()
    frames = sum(message[2] for message in messages)
    assert collect.overview().counters.frames_accepted == frames
    found = 0
    for cohort in closed(collect):
        counts = unpack(cohort.counts, totals.BINS)
        for first, stop in totals.HISTOGRAMS:
            assert sum(counts[first:stop]) == cohort.frames
        found += cohort.frames
    assert found == frames


@QUICK
@given(MESSAGES)
def test_merging_two_halves_is_pooling(messages):
    def summed(part):
        sums = totals.Totals(20, 64)
        sums.open_slot()
        rows = [
            (0, b"".join((pack(spread(20, n, s)), pack(spread(16, n, s)), pack(spread(16, n, s)),
                          *(pack(spread(10, n, s + i)) for i in range(8)))), n, 0, s, 0, 0)
            for _, _, n, s, _ in part
        ]  # fmt: skip
        sums.fold(rows)
        return sums

    half = len(messages) // 2
    left, right, pooled = summed(messages[:half]), summed(messages[half:]), summed(messages)
    left.add_row(0, right.pack_row(0))
    assert left.row(0) == pooled.row(0)


@QUICK
@given(
    st.lists(st.tuples(st.integers(1, 3), st.integers(0, 200)), max_size=80),
)
def test_a_window_is_never_counted_twice(seen):
    source, counted = Source("d", 0), set()
    for boot_id, seq in seen:
        if source.accept(boot_id, seq):
            assert (boot_id, seq) not in counted
            counted.add((boot_id, seq))
    assert source.gaps >= 0


@QUICK
@given(st.lists(st.integers(0, REACH - 1), max_size=80))
def test_within_reach_every_window_is_counted_once_and_gaps_are_exact(order):
    source, counted = Source("d", 0), set()
    for seq in order:
        assert source.accept(1, seq) == (seq not in counted)
        counted.add(seq)
    if counted:
        assert source.gaps == max(counted) - min(counted) + 1 - len(counted)


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**40), 2**60),
    st.binary(max_size=90),
    st.text(max_size=8),
    st.floats(allow_nan=True),
)
JUNK = st.one_of(
    SCALARS,
    st.lists(SCALARS, max_size=3),
    st.dictionaries(st.text(max_size=4), SCALARS, max_size=3),
)


@settings(derandomize=True, max_examples=200, deadline=None, database=None)
@given(st.binary(max_size=80), st.sampled_from("bqdnscelferthtcbtgpklhl"), JUNK, st.data())
def test_nothing_that_a_device_sends_can_hurt(noise, key, junk, data):
    collect = Collect(CollectLimits(block_messages=1))
    good = telemetry(1, 4, 3)
    body = msgpack.unpackb(good)
    body[data.draw(st.sampled_from([*body, "kl", "hl", "gp", key]))] = junk
    cut = data.draw(st.integers(0, len(good)))
    for payload in (noise, msgpack.packb(body), good[:cut], good[:cut] + noise, good):
        collect.handle(Arrived("tel", "d", payload), 0)
        collect.validate()
    collect.handle(DeadlineReached(), 15 * MINUTE)
    collect.validate()
