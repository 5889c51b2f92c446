"""Which delta a want names, and what a device may fetch for it."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from devicesdk.wire import codec
from devicesdk.wire.messages import DeltaRef, Event, UpdateState
from gateway.core import notes, rows, stimuli
from gateway.core.control.deltas import STRIKES_MAX
from gateway.core.effects import Note, Persist
from gateway.core.gateway import GatewayConfig
from gateway.core.limits import ControlLimits
from gateway.core.stimuli import CreateRollout, RegisterDelta
from tests_kit.gateway_charts import Chart, arrived, bundle, digest_of, factory, new_gateway, plan

OLD, NEW = "gauge@1.0.0", "gauge@1.1.0"


def delta(base=OLD, target=NEW, **changes):
    ref = DeltaRef(
        encoder=3,
        base=digest_of(f"{base} image") if base else b"",
        target=digest_of(f"{target} image"),
        blob=digest_of(f"{base} to {target}"),
        size_bytes=9_000,
    )
    return RegisterDelta(replace(ref, **changes))


def _offered(chart, **fields):
    chart >> CreateRollout(plan(waves=(1.0,), **fields))
    return {device: want.delta for device, want in chart.wants().items()}


def _granted(chart, device="d000"):
    return chart.machine._transfers._grants[device].blobs


def test_a_want_names_the_delta_from_what_the_factory_shipped():
    chart = Chart.with_fleet(2)
    chart >> delta()
    chart << (Persist, {"table": rows.DELTA}) << (Note, {"kind": notes.DELTA_REGISTERED})
    assert _offered(chart) == {"d000": delta().delta, "d001": delta().delta}
    assert delta().delta.blob in _granted(chart)


def test_what_a_device_says_it_runs_counts_more_than_what_is_believed():
    chart = Chart.with_fleet(2)
    chart >> bundle("gauge@0.9.0") >> delta() >> delta(base="gauge@0.9.0")
    chart.commit("d001", "gauge@0.9.0", generation=0)
    assert _offered(chart) == {"d000": delta().delta, "d001": delta(base="gauge@0.9.0").delta}


def test_a_device_that_runs_something_unknown_gets_the_one_without_a_base():
    chart = Chart.with_fleet(1)
    chart.commit("d000", "homemade@7.0.0", generation=0)
    chart >> delta() >> delta(base="", encoder=1)
    assert _offered(chart) == {"d000": delta(base="", encoder=1).delta}


def test_without_a_fitting_delta_there_is_none():
    chart = Chart.with_fleet(1)
    chart.commit("d000", "homemade@7.0.0", generation=0)
    chart >> delta()
    assert _offered(chart) == {"d000": None}


def test_a_rollout_may_do_without():
    chart = Chart.with_fleet(1) >> delta()
    assert _offered(chart, delta=False) == {"d000": None}


def test_a_hold_names_none():
    chart = Chart.with_fleet(1) >> delta()
    chart.commit("d000", "homemade@7.0.0", generation=0)
    _offered(chart)
    chart >> stimuli.SteerRollout("r1", "abort-keep")
    assert all(want.delta is None for want in chart.wants().values() if want.hold)


def test_a_large_one_grants_its_hash_list_too():
    large = delta(size_bytes=80_000, hashes=b"h" * 32)
    chart = Chart.with_fleet(1) >> large
    _offered(chart)
    assert {large.delta.blob, b"h" * 32} <= set(_granted(chart))
    assert chart.machine._transfers._blobs[b"h" * 32].size_bytes == 32 * 5


def test_a_newer_delta_between_the_same_images_replaces_the_older():
    better = delta(blob=b"b" * 32, size_bytes=100)
    chart = Chart.with_fleet(1) >> delta() >> better >> better
    assert _offered(chart) == {"d000": better.delta}
    assert delta().delta.blob not in _granted(chart)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (delta(target="gauge@9.9.9"), "register both bundles first"),
        (delta(base="gauge@9.9.9"), "register both bundles first"),
        (delta(size_bytes=100_000, hashes=b"h" * 32), "less than the image"),
        (delta(size_bytes=70_000), "expected a hash list"),
        (delta(chunk_bytes=5_000), "power of two"),
        (delta(size_bytes=2**30, chunk_bytes=256, hashes=b"h" * 32), "4194304 of 256 bytes"),
    ],
)
def test_a_wrong_one_is_refused(wrong, why):
    chart = Chart.with_fleet(1) >> wrong
    (note,) = [n for n in chart.all(Note) if n.kind == notes.DELTA_REFUSED]
    assert why in note.subject
    assert _offered(chart) == {"d000": None}


def test_they_are_bounded():
    config = GatewayConfig(control=ControlLimits(deltas_max=1))
    chart = Chart.with_fleet(1, config) >> delta() >> delta(base="", blob=b"x" * 32)
    (note,) = [n for n in chart.all(Note) if n.kind == notes.DELTA_REFUSED]
    assert "raise deltas_max" in note.subject


def test_one_that_devices_find_useless_is_offered_no_more():
    chart = Chart.with_fleet(STRIKES_MAX + 1) >> delta()
    _offered(chart)
    for number in range(STRIKES_MAX):
        event = Event(boot_id=1, seq=1, kind="delta", reason="digest", digest=delta().delta.blob)
        chart >> arrived(f"d{number:03}", event)
        chart << (Note, {"kind": notes.DELTA_FAILED, "a": number + 1})
    chart.enroll("d900")
    assert chart.wants()["d900"].delta is None


def test_a_failure_of_something_unknown_is_no_news():
    chart = Chart.with_fleet(1) >> delta()
    chart >> arrived("d000", Event(boot_id=1, seq=1, kind="delta", reason="x", digest=b"?" * 32))
    assert not [n for n in chart.all(Note) if n.kind == notes.DELTA_FAILED]


def test_they_survive_a_restart():
    chart, stored = Chart(), {}
    fleet = stimuli.Enroll("d000", {"hardware": "pi"})
    for stimulus in (bundle(OLD), bundle(NEW), factory(), fleet, delta()):
        chart >> stimulus
        stored.update({(row.table, row.key): row.row for row in chart.all(Persist)})
    (row,) = [row for (table, _), row in stored.items() if table == rows.DELTA]
    assert rows.decode(rows.DeltaRow, rows.encode(row)) == row
    again = Chart(new_gateway())
    again.machine.restore([(*key, row) for key, row in stored.items()], 0)
    again >> stimuli.Started(1_700_000_000_000) >> stimuli.BrokerUp(session_present=False)
    assert _offered(again) == {"d000": delta().delta}
    assert delta().delta.blob in _granted(again)


def test_variants_of_other_hardware_and_names_are_told_apart():
    chart = Chart()
    chart >> stimuli.Started(1_700_000_000_000) >> stimuli.BrokerUp(session_present=False)
    for name in (OLD, NEW):
        one = bundle(name)
        (int8,) = one.manifest.variants
        fp32 = replace(
            int8, name="fp32", image=replace(int8.image, digest=digest_of(f"{name} fp32").hex())
        )
        other = replace(fp32, name="npu", hardware=("npu",))
        manifest = replace(one.manifest, variants=(other, int8, fp32))
        chart >> replace(one, manifest=manifest)
    floats = delta(base="", blob=b"f" * 32, target="x").delta
    floats = RegisterDelta(
        replace(floats, base=digest_of(f"{OLD} fp32"), target=digest_of(f"{NEW} fp32"))
    )
    chart >> delta() >> floats >> factory(OLD)
    for device, variant in (("a", "int8"), ("b", "fp32"), ("c", "")):
        chart.enroll(device)
        chart.have(device, running=digest_of(OLD), state=UpdateState.COMMITTED, variant=variant)
    offered = _offered(chart)
    assert offered == {"a": delta().delta, "b": floats.delta, "c": delta().delta}


def test_a_want_with_a_delta_survives_its_bytes():
    chart = Chart.with_fleet(1) >> delta(size_bytes=80_000, hashes=b"h" * 32, chunk_bytes=4096)
    _offered(chart)
    (want,) = chart.wants().values()
    assert codec.decode(type(want), codec.encode(want)) == want
