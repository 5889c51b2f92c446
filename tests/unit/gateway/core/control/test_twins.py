"""Which report is newer, and which is worth a durable row."""

from __future__ import annotations

import ast
import itertools
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from devicesdk.wire.messages import Capabilities, Have, Link, UpdateState
from gateway.core import notes, rows
from gateway.core.control.twins import SILENT, UNSEEN, Twin, Twins
from gateway.core.effects import Note, Persist
from gateway.core.internal import DeviceLabelled
from gateway.core.limits import ControlLimits
from gateway.core.rows import DesiredRow, Outcome, Purpose, ReportedRow
from tests_kit.gateway_charts import bundle

A, B, C = b"a" * 32, b"b" * 32, b"c" * 32


def twins(**limits):
    return Twins(ControlLimits(**limits))


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_reports_in_any_order_end_in_the_newest(order):
    reports = [
        Have(boot_id=1, seq=7, state=UpdateState.TRIAL),
        Have(boot_id=1, seq=8, state=UpdateState.COMMITTED),
        Have(boot_id=2, seq=1, state=UpdateState.IDLE),
        Have(boot_id=2, seq=2, state=UpdateState.OFFERED),
    ]
    fleet = twins()
    twin = fleet.seen("d1", [])
    for index in order:
        fleet.have(twin, reports[index], [])
    assert twin.reported.state is UpdateState.OFFERED, "state ran backwards"


def test_the_first_report_counts_even_if_it_is_all_zero():
    fleet, out = twins(), []
    twin = fleet.seen("d1", out)
    assert fleet.have(twin, Have(boot_id=0, seq=0, running=A), out)
    assert twin.reported is not SILENT
    assert not fleet.have(twin, Have(boot_id=0, seq=0, running=B), out)
    assert twin.reported.running == A


def test_progress_alone_is_not_made_durable():
    fleet, out = twins(), []
    twin = fleet.seen("d1", out)
    fleet.have(twin, Have(boot_id=1, seq=1, running=A, state=UpdateState.DOWNLOADING), out)
    assert [effect.table for effect in out] == [rows.REPORTED]
    out.clear()
    done = Have(boot_id=1, seq=2, running=A, state=UpdateState.DOWNLOADING, bytes_done=9)
    fleet.have(twin, done, out)
    assert out == []
    assert twin.reported.bytes_done == 9


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_presence_in_any_order_ends_in_the_newest_and_offline_is_final(order):
    links = [
        Link(boot_id=1, session=1, online=True),
        Link(boot_id=1, session=1, online=False),
        Link(boot_id=1, session=2, online=True),
        Link(boot_id=1, session=2, online=False),
    ]
    fleet = twins()
    twin = fleet.seen("d1", [])
    for index in order:
        fleet.link(twin, links[index], [])
    assert not twin.presence.online, "a birth overtook the will of its own session"
    assert twin.presence.session == 2


def test_a_will_of_an_earlier_session_does_not_hide_a_birth():
    fleet, out = twins(), []
    twin = fleet.seen("d1", out)
    assert twin.presence is UNSEEN
    fleet.link(twin, Link(boot_id=0, session=0, online=True), out)
    fleet.link(twin, Link(boot_id=2, session=1, online=True), out)
    fleet.link(twin, Link(boot_id=1, session=9, online=False), out)
    fleet.link(twin, Link(boot_id=2, session=0, online=False), out)
    assert twin.presence.online
    assert len(out) == 2


def test_enrolling_again_changes_nothing_and_new_labels_do():
    fleet, out = twins(), []
    assert fleet.enroll("d1", {"region": "eu"}, out) is not None
    assert [type(effect) for effect in out] == [Persist, DeviceLabelled]
    assert fleet.enroll("d1", {"region": "eu"}, out) is None
    assert fleet.enroll("d1", {"region": "us"}, out) is not None
    fleet.validate()


def test_more_devices_than_the_limit_are_not_taken_in():
    fleet, out = twins(twins_max=1), []
    assert fleet.seen("d1", out) is fleet.seen("d1", out)
    assert fleet.seen("d2", out) is None
    assert fleet.enroll("d3", {}, out) is None
    assert out == [Note(notes.FULL, "d2", 1), Note(notes.FULL, "d3", 1)]


def test_quarantine_remembers_the_newest_digests():
    fleet, out = twins(quarantine_entries_max=2), []
    twin = fleet.seen("d1", out)
    for digest in (A, B, B, C):
        fleet.quarantine(twin, digest, out)
    assert twin.device.quarantine == (B, C)
    assert len([effect for effect in out if isinstance(effect, Persist)]) == 3


@pytest.mark.parametrize(
    ("reported", "desired", "expected"),
    [
        (ReportedRow(1, 1, running=A), None, (A, True)),
        (ReportedRow(1, 1, running=C), None, (b"", False)),
        (ReportedRow(1, 1, running=A, trial=True), None, (b"", False)),
        (SILENT, DesiredRow(0, B, "f", Purpose.FACTORY, outcome=Outcome.COMMITTED), (B, False)),
        (ReportedRow(1, 1, running=C), DesiredRow(1, C, "r", Purpose.UPDATE, previous=B), (B, False)),
        (
            ReportedRow(1, 1, running=C),
            DesiredRow(1, C, "r", Purpose.UPDATE, previous=B, said=True),
            (B, True),
        ),
        (SILENT, DesiredRow(1, C, "r", Purpose.UPDATE, previous=C), (b"", False)),
        (ReportedRow(1, 1, running=A), DesiredRow(1, B, "r", Purpose.UPDATE, previous=B), (A, True)),
        (
            ReportedRow(1, 1, running=C),
            DesiredRow(1, B, "r", Purpose.UPDATE, previous=A, outcome=Outcome.COMMITTED),
            (B, True),
        ),
        (
            ReportedRow(1, 1, running=C),
            DesiredRow(0, B, "f", Purpose.FACTORY, outcome=Outcome.COMMITTED),
            (B, False),
        ),
    ],
    ids=[
        "its word", "runs the target", "on trial", "factory", "what it had", "what it said it had",
        "nothing else", "word wins", "what it committed", "runs the target of a factory",
    ],
)  # fmt: skip
def test_what_a_device_goes_back_to(reported, desired, expected):
    twin = Twin("d1")
    twin.reported, twin.desired = reported, desired
    assert twin.previous_for(C) == expected


def test_a_generation_is_newer_than_anything_seen():
    twin = Twin("d1")
    assert twin.next_generation == 1
    twin.reported = ReportedRow(1, 1, generation=7)
    assert twin.next_generation == 8
    twin.desired = DesiredRow(9, A, "r", Purpose.UPDATE)
    assert twin.next_generation == 10


def test_the_hardware_class_is_the_devices_word_or_the_registrys():
    fleet = twins()
    twin = fleet.enroll("d1", {"region": "eu", "profile": "pi", "power": "ac"}, [])
    assert fleet.stratum(twin) == ("eu", "pi", "ac")
    for hardware, fits in ((("pi",), True), (("jetson",), False), (("*",), True)):
        assert fleet.fits(twin, bundle(hardware=hardware).manifest) is fits
    fleet.have(twin, Have(boot_id=1, seq=1, hardware_class="jetson"), [])
    assert fleet.fits(twin, bundle(hardware=("jetson",)).manifest)
    unknown = fleet.enroll("d2", {}, [])
    assert fleet.fits(unknown, bundle(hardware=("jetson",)).manifest), "unknown hardware may ask"
    assert fleet.stratum(unknown) == ("", "", "")


def test_durable_parts_are_put_together_again():
    fleet = twins()
    parts = {
        rows.DEVICE: rows.DeviceRow({"region": "eu"}, enrolled=True),
        rows.DESIRED: DesiredRow(1, A, "r", Purpose.UPDATE),
        rows.REPORTED: ReportedRow(1, 1),
        rows.PRESENCE: rows.PresenceRow(1, 1, online=True),
    }
    for table, row in parts.items():
        fleet.restore(table, "d1", row)
    twin = fleet.by_name["d1"]
    assert [twin.device, twin.desired, twin.reported, twin.presence] == list(parts.values())
    assert twin.wants_open()
    fleet.validate()


def test_a_want_that_is_open():
    twin = Twin("d1")
    assert not twin.wants_open()
    twin.desired = DesiredRow(0, A, "f", Purpose.FACTORY)
    assert not twin.wants_open(), "factory state is no want"
    twin.desired = DesiredRow(1, A, "r", Purpose.REVERT)
    assert twin.wants_open()


def test_capabilities_are_kept_when_later_reports_do_not_repeat_them():
    fleet, out = twins(), []
    twin = fleet.seen("d1", out)
    can = Capabilities(runtime="1.23.2", cpu=("avx2",), memory_mib=512)
    fleet.have(twin, Have(boot_id=1, seq=1, running=A, capabilities=can), out)
    fleet.have(twin, Have(boot_id=1, seq=2, running=A), out)
    assert twin.reported.capabilities == can
    out.clear()
    fleet.have(twin, Have(boot_id=1, seq=3, running=A, capabilities=Capabilities()), out)
    assert [effect.table for effect in out] == [rows.REPORTED], "new facts are worth keeping"


def test_an_old_row_is_read_and_knows_no_capabilities():
    old = rows.encode(ReportedRow(1, 2, 3, A))
    short = msgspec.msgpack.encode(msgspec.msgpack.decode(old)[:-1])
    assert rows.decode(ReportedRow, short).capabilities is None


@pytest.mark.parametrize(("cpu", "fits"), [((), False), (("avx512_vnni",), True)])
def test_a_bundle_that_asks_for_more_than_a_runtime_can_is_not_for_it(cpu, fits):
    manifest = bundle().manifest
    needy = replace(manifest.variants[0], needs=("avx512_vnni",))
    picky = replace(manifest, variants=(needy,))
    fleet = twins()
    twin = fleet.seen("d1", [])
    assert fleet.fits(twin, picky), "nobody knows: it may fit"
    fleet.have(twin, Have(boot_id=1, seq=1, capabilities=Capabilities(cpu=cpu)), [])
    assert fleet.fits(twin, picky) is fits


def test_names_are_in_order_also_after_others_came():
    fleet = twins()
    for number in (7, 3, 9, 1):
        fleet.seen(f"d{number}", [])
    assert fleet.sorted_names() == ["d1", "d3", "d7", "d9"]
    for number in (8, 0):
        fleet.seen(f"d{number}", [])
    assert fleet.sorted_names() == ["d0", "d1", "d3", "d7", "d8", "d9"]
    assert fleet.sorted_names() is fleet.sorted_names(), "sorted again for nothing"


ROWS = {"device", "desired", "reported", "presence"}


@pytest.mark.parametrize("path", sorted(Path("gateway").rglob("*.py")), ids=str)
def test_whoever_replaces_a_row_of_a_twin_counts_it(path):
    """Whoever shows twins believes that count: a row that is replaced in silence would be shown stale."""
    for function in ast.walk(ast.parse(path.read_text())):
        if not isinstance(function, ast.FunctionDef):
            continue
        told = ast.unparse(function)
        for part in ast.walk(function):
            for target in part.targets if isinstance(part, ast.Assign) else ():
                named = ast.unparse(target)
                if named in {f"twin.{row}" for row in ROWS}:
                    assert "self.changes += 1" in told, (
                        f"{path}:{part.lineno}: {function.name} replaces {named} and does not count it in "
                        "`changes`: pages of devices would go on showing the old one"
                    )
