"""Unit-test twin of `devicesim/models/link.py`."""

from __future__ import annotations

from itertools import pairwise
from statistics import mean

import pytest

from devicesdk.wire.timebase import DAY, HOUR, MINUTE, MS, NEVER, SECOND
from devicesim.models.availability import Outages
from devicesim.models.link import EpochLink, FixedLink, Link
from devicesim.models.link_class import QualityTables

CHUNK = 16_384


def fixed(entropy, rtt_ms=200, bps=10e6, loss=0.02, **more):
    return FixedLink(rtt_ms * MS, bps, loss, luck=entropy.stream("luck", "fixed"), **more)


def epoch(entropy, book, name="lte-good", ident="d1"):
    spec = book.links[name]
    streams = tuple(entropy.stream(p, ident) for p in ("availability", "epochs", "luck"))
    return EpochLink(spec, QualityTables(spec, book.classes), streams)


def test_200_ms_and_2_percent_carry_63_kilobytes_a_second(entropy):
    link = fixed(entropy)
    assert link.goodput_bytes_per_s(0, True) == pytest.approx(62_973, rel=1e-3)
    delays = link.train_delays_ns([CHUNK] * 256, 0, True)
    found = 256 * CHUNK / (delays[-2] / SECOND)
    assert found == pytest.approx(62_973, rel=0.02), "a long train is carried at the Mathis rate"


def test_without_loss_the_line_rate_holds_and_a_message_takes_half_a_round_trip(entropy):
    link = fixed(entropy, loss=0.0, bps=1e6, up_bps=250e3)
    assert link.arrival_delay_ns(125, 0, True) == MS + 100 * MS
    assert link.arrival_delay_ns(125, 0, False) == 4 * MS + 100 * MS
    assert link.goodput_bytes_per_s(0, False) == 31_250
    assert link.rtt_ns(0) == 200 * MS


def test_messages_queue_and_never_overtake(entropy):
    link = fixed(entropy, loss=0.3, bps=1e6)
    last = 0
    for k in range(300):
        now = k * MS
        arrival = now + link.arrival_delay_ns(1000, now, True)
        assert arrival >= last, f"message {k} overtook the one before it"
        last = arrival
    assert last >= 300 * 8 * MS, "1 Mbit/s carries 1000 bytes in 8 ms"


def test_directions_do_not_wait_for_each_other_and_reset_forgets(entropy):
    link = fixed(entropy, loss=0.0, bps=1e6)
    alone = link.arrival_delay_ns(100, 0, False)
    link.train_delays_ns([CHUNK] * 10, 0, True)
    link.reset()
    link.train_delays_ns([CHUNK] * 10, 0, True)
    assert link.arrival_delay_ns(100, 0, False) == alone
    queued = link.arrival_delay_ns(100, 0, True)
    link.reset()
    assert link.arrival_delay_ns(100, 0, True) < queued


def test_loss_makes_short_messages_wait_for_timeouts_now_and_then(entropy):
    link = fixed(entropy, rtt_ms=40, loss=0.05)
    clean = fixed(entropy, rtt_ms=40, loss=0.0)
    late = 0
    total = 20_000
    for k in range(total):
        now = k * SECOND
        extra = link.arrival_delay_ns(200, now, False) - clean.arrival_delay_ns(200, now, False)
        assert extra == 0 or extra >= 200 * MS
        late += extra > 0
    assert late / total == pytest.approx(0.05, abs=0.005)


def test_a_loss_in_the_middle_costs_a_round_trip(entropy):
    link = fixed(entropy, rtt_ms=50, loss=0.02)
    clean = fixed(entropy, rtt_ms=50, loss=0.0)
    extras = []
    for k in range(5000):
        now = k * SECOND
        extras.append(
            link.arrival_delay_ns(10_000, now, True) - clean.arrival_delay_ns(10_000, now, True)
        )
    share = sum(extra == 50 * MS for extra in extras) / len(extras)
    assert share == pytest.approx(0.02 * 6, rel=0.2)


def test_handshake_is_three_round_trips_and_forgets_the_old_queue(entropy):
    link = fixed(entropy, loss=0.0, bps=1e6)
    assert link.handshake_ns(0) == 600 * MS + 36 * MS
    before = link.arrival_delay_ns(100, 0, True)
    link.train_delays_ns([CHUNK] * 50, 0, True)
    link.handshake_ns(0)
    assert link.arrival_delay_ns(100, 0, True) == before
    lossy = fixed(entropy, loss=0.3)
    spread = [lossy.handshake_ns(k * MINUTE) for k in range(200)]
    assert min(spread) < 700 * MS
    assert max(spread) > SECOND


def test_an_empty_train_is_nothing(entropy):
    assert fixed(entropy).train_delays_ns([], 0, True) == []


def test_quality_belongs_to_the_instant_not_to_who_asks(entropy, book):
    quiet, chatty = epoch(entropy, book), epoch(entropy, book)
    for k in range(2000):
        chatty.arrival_delay_ns(300, k * 30 * SECOND, bool(k % 2))
    later = 20 * HOUR
    assert quiet.rtt_ns(later) == chatty.rtt_ns(later)
    assert quiet.goodput_bytes_per_s(later, True) == chatty.goodput_bytes_per_s(later, True)
    assert quiet.arrival_delay_ns(300, later, True) == chatty.arrival_delay_ns(300, later, True)


def test_epochs_hold_30_to_300_s_and_follow_their_class(entropy, book):
    link = epoch(entropy, book)
    seen, last, changed = [], None, []
    for k in range(40_000):
        rtt = link.rtt_ns(k * 10 * SECOND)
        if rtt != last:
            seen.append(rtt)
            changed.append(k * 10)
            last = rtt
    gaps = [b - a for a, b in pairwise(changed)]
    assert min(gaps) >= 20
    assert 30 - 10 <= mean(gaps) <= 310
    seen.sort()
    assert seen[len(seen) // 2] == pytest.approx(39.3 * MS, rel=0.15)


def test_devices_have_their_own_luck(entropy, book):
    rtts = [epoch(entropy, book, ident=f"d{k}").rtt_ns(HOUR) for k in range(50)]
    assert len(set(rtts)) > 30


def test_a_transfer_goes_through_as_many_epochs_as_it_takes(entropy, book):
    link = epoch(entropy, book, "lte-poor")
    size = 3_000_000
    delay = link.arrival_delay_ns(size, 0, True)
    assert delay > 2 * MINUTE
    carried, at = 0.0, 0
    while at < delay:
        carried += link.goodput_bytes_per_s(at, True) / 10
        at += SECOND // 10
    assert carried == pytest.approx(size, rel=0.05)


def test_a_train_through_epochs_arrives_in_order(entropy, book):
    link = epoch(entropy, book, "lte-driving")
    link.arrival_delay_ns(50_000, 0, True)
    delays = link.train_delays_ns([CHUNK] * 300, 5 * MS, True)
    assert delays == sorted(delays)
    assert len(delays) == 300


def test_asking_about_a_far_transfer_leaves_the_present_as_it_was(entropy, book):
    link, other = epoch(entropy, book, "lte-poor"), epoch(entropy, book, "lte-poor")
    now = 17 * MINUTE
    link.train_delays_ns([CHUNK] * 20, now, False)
    link.arrival_delay_ns(1_000_000, now, False)
    link.train_delays_ns([CHUNK] * 20, now, True)
    assert link.rtt_ns(now) == other.rtt_ns(now)
    assert link.goodput_bytes_per_s(now, False) == other.goodput_bytes_per_s(now, False)
    opened = [link.handshake_ns(k * 7 * SECOND) for k in range(500)]
    fresh = [other.handshake_ns(k * 7 * SECOND) for k in range(500)]
    assert opened == fresh, "a handshake depends on its instant alone"


def test_availability_comes_from_the_spec_or_from_outside(entropy, book):
    link = epoch(entropy, book)
    at, up = link.next_change(0)
    assert not up
    assert not link.is_up(at)
    spec = book.links["2g"]
    streams = tuple(entropy.stream(p, "x") for p in ("availability", "epochs", "luck"))
    tables = QualityTables(spec, book.classes)
    assert EpochLink(spec, tables, streams).next_change(0) == (NEVER, True)
    cut = EpochLink(spec, tables, streams, availability=Outages(((HOUR, DAY),)))
    assert cut.next_change(0) == (HOUR, False)
    assert fixed(entropy, availability=Outages(((5, 9),))).is_up(6) is False


def test_what_never_arrives_arrives_never(entropy):
    link = fixed(entropy, bps=0.001, loss=0.0)
    assert link.arrival_delay_ns(10**9, 0, True) >= NEVER
    assert link.arrival_delay_ns(1, 5, True) >= NEVER - 5, "it waits behind the one before it"


def test_figures_out_of_range_are_refused(entropy):
    for bad in ({"rtt_ms": -1}, {"bps": 0.0}, {"loss": 1.0}):
        with pytest.raises(ValueError, match="expected"):
            fixed(entropy, **bad)


def test_the_base_says_nothing_about_quality(entropy):
    with pytest.raises(NotImplementedError):
        Link(Outages(()), entropy.stream("luck")).rtt_ns(0)
