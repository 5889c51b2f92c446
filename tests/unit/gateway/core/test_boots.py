"""A counter of boots that goes back, and one that was forged."""

from __future__ import annotations

from devicesdk.wire.messages import Have, Link
from devicesdk.wire.timebase import HOUR, MINUTE
from gateway.core import notes, rows
from gateway.core.boots import BOOT_BACK_NS, in_doubt
from gateway.core.collect.sources import Source
from gateway.core.control.twins import Twins
from gateway.core.effects import Note, Persist
from gateway.core.limits import ControlLimits

FORGED = 2**53


def test_an_older_boot_is_believed_once_the_newest_is_silent_for_long():
    doubt, back = in_doubt(None, (9, 1, 1), 5)
    assert not back
    doubt, back = in_doubt(doubt, (9, 1, 1), 5 + BOOT_BACK_NS - 1)
    assert not back
    assert in_doubt(doubt, (9, 1, 1), 5 + BOOT_BACK_NS)[1]


def test_a_newest_boot_that_speaks_is_the_newest():
    doubt, _ = in_doubt(None, (9, 1, 1), 0)
    doubt, back = in_doubt(doubt, (9, 2, 3), 2 * HOUR)
    assert not back
    assert doubt == ((9, 2, 3), 2 * HOUR)


def test_a_forged_boot_does_not_silence_a_device_for_good():
    fleet, out = Twins(ControlLimits()), []
    twin = fleet.seen("d1", out)
    fleet.link(twin, Link(boot_id=FORGED, session=1, online=False), out)
    assert fleet.have(twin, Have(boot_id=FORGED, seq=FORGED), out)
    assert not fleet.have(twin, Have(boot_id=17, seq=1), out, 0, live=True)
    assert not fleet.have(twin, Have(boot_id=17, seq=1), out, 2 * HOUR), "the broker kept that one"
    out.clear()
    assert fleet.have(twin, Have(boot_id=17, seq=2), out, HOUR, live=True)
    assert (twin.reported.boot_id, twin.presence.boot_id, twin.presence.online) == (17, 17, True)
    assert [n.kind for n in out if isinstance(n, Note)] == [notes.BOOT_BACK]
    assert {p.table for p in out if isinstance(p, Persist)} == {rows.REPORTED, rows.PRESENCE}
    fleet.link(twin, Link(boot_id=17, session=1, online=False), out)
    assert not twin.presence.online, "its own presence counts again"
    assert not fleet.have(twin, Have(boot_id=17, seq=1), out, 3 * HOUR, live=True), "within a boot"


def test_late_repetitions_take_no_report_back():
    fleet, out = Twins(ControlLimits()), []
    twin = fleet.seen("d1", out)
    for minute in range(0, 180, 10):
        fleet.have(twin, Have(boot_id=2, seq=minute), out, minute * MINUTE, live=True)
        assert not fleet.have(twin, Have(boot_id=1, seq=minute), out, minute * MINUTE, live=True)


def test_telemetry_of_a_device_counts_again():
    source = Source("d1", 0)
    for boot in (16, FORGED):
        assert source.accept(boot, 1)
    assert not source.accept(17, 1)
    assert not source.counts_anew(17, 1, 0)
    assert not source.counts_anew(17, 60, HOUR - 1)
    assert source.counts_anew(17, 61, HOUR)
    assert source.accept(17, 62)
    assert not source.accept(17, 61), "counted twice"
    assert source.accept(18, 1)


def test_repetitions_of_a_boot_that_is_known_are_not_counted_anew():
    source = Source("d1", 0)
    for boot in (1, 2):
        source.accept(boot, 1)
    for boot in (1, 2):
        assert not source.accept(boot, 1)
        for now in (0, HOUR, 2 * HOUR):
            assert not source.counts_anew(boot, 1, now)
