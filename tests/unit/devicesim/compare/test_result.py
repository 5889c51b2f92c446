"""What a comparison says of two made-up runs."""

import math
from pathlib import Path

import msgspec
import pytest

from devicesim.compare import document, page, terminal, wording
from devicesim.compare.result import changes, compare
from devicesim.compare.sides import Side, pair
from devicesim.report.devices import BY_NAME, DeviceRow
from devicesim.report.record import CheckRow, RunRecord, Series

MINUTES = [60.0 * i for i in range(10)]


def device(name, **numbers):
    return DeviceRow(
        (name, name.split("-")[0], "rpi4-kiosk", "fcc-dsl", "nowhere", "gauge@1.0.0"),
        tuple(numbers.get(key, 0.0) for key in BY_NAME),
    )


def side(devices, *, seed=1, digest="a", resolved=None, **more):
    record = RunRecord(
        scenario="lab", seed=seed, verdict="passed", trace_digest=digest, virtual_s=600.0,
        devices=len(devices), **more,
    )  # fmt: skip
    return Side(Path(f"runs/lab-{seed}"), record, devices, resolved or {"scenario": "lab"})


def fleet(offline, names="abcdefgh"):
    return [device(f"kiosk-{n}", offline_s=float(offline(i))) for i, n in enumerate(names)]


def test_identical_runs_have_exactly_no_difference():
    found = compare([pair(side(fleet(lambda i: i)), side(fleet(lambda i: i)))])
    assert found.same
    assert {(m.difference, m.direction) for m in found.devices} == {(0.0, "same")}
    assert {m.direction for m in found.fleet} == {"same"}
    assert wording.headline(found) == "The same, bit for bit: trace digest a."


def test_a_difference_of_all_devices_has_a_direction():
    found = compare([pair(side(fleet(lambda i: 10 + i)), side(fleet(lambda i: i), digest="b"))])
    offline = found.measure("offline_s")
    assert offline.difference == -10.0
    assert offline.direction == "better"
    assert offline.less == 1.0
    assert offline.interval.over == "devices"
    assert found.measure("device_minutes_offline").difference == pytest.approx(-80 / 60)
    assert found.measure("device_minutes_offline").interval is None, "one run is no sample of runs"


def test_seeds_are_the_unit_when_there_are_several():
    pairs = [
        pair(
            side(fleet(lambda i, s=s: 20 + s * i), seed=s),
            side(fleet(lambda i, s=s: 10 + i), seed=s, digest="b"),
        )
        for s in (1, 2, 3)
    ]
    offline = compare(pairs).measure("offline_s")
    assert offline.interval.over == "seeds"
    assert offline.interval.n == 3
    # per seed: -(10 + (s - 1) * 3.5)
    assert offline.difference == pytest.approx(-13.5)
    assert offline.pairs == 24


def test_a_device_that_never_updated_on_one_side_is_told_and_not_averaged():
    nan = math.nan
    a = [device("kiosk-a", update_s=5.0), device("kiosk-b", update_s=nan)]
    b = [device("kiosk-a", update_s=4.0), device("kiosk-b", update_s=9.0)]
    found = compare([pair(side(a), side(b, digest="b"))]).measure("update_s")
    assert (found.difference, found.pairs, found.only_a, found.only_b) == (-1.0, 1, 0, 1)
    assert wording.lost_and_found(found) == "1 device in B only"


def test_other_seeds_are_refused():
    with pytest.raises(ValueError, match=r"expected runs of one seed, found 1 .* and 2"):
        pair(side(fleet(lambda i: i)), side(fleet(lambda i: i), seed=2))


def test_fleets_that_share_no_device_are_refused():
    with pytest.raises(ValueError, match="found none in common: 2 devices from kiosk-a to kiosk-b"):
        pair(side(fleet(lambda i: i, "ab")), side(fleet(lambda i: i, "yz")))


def test_fleets_that_share_some_are_paired_by_id_and_it_is_said():
    found = compare([pair(side(fleet(lambda i: i, "abcd")), side(fleet(lambda i: i, "cdxyz")))])
    assert [row.device for row in found.pairs[0].rows_b] == ["kiosk-c", "kiosk-d"]
    assert "2 devices paired by id (of 4 in A and 5 in B" in wording.luck(found)


def test_checks_that_went_otherwise_come_first():
    def check(name, held):
        return CheckRow(name, "slo", held)

    a = side(fleet(lambda i: i), checks=[check("x", True), check("y", False), check("z", True)])
    b = side(fleet(lambda i: i), checks=[check("x", True), check("y", False), check("z", False)])
    found = compare([pair(a, b)]).checks
    assert [(c.name, c.same) for c in found] == [("z", False), ("y", True), ("x", True)]


def test_changes_are_by_path_and_say_what_is_missing():
    found = changes({"a": "1", "b": "2"}, {"b": "3", "c": "4"})
    assert [(c.path, c.a, c.b) for c in found] == [("a", "1", ""), ("b", "2", "3"), ("c", "", "4")]


def test_devices_that_differ_most_are_named():
    found = compare([pair(side(fleet(lambda _: 0)), side(fleet(lambda i: i == 5), digest="b"))])
    assert found.different == [5]


def test_what_only_two_devices_have_counts_no_more_than_what_most_have():
    names = "abcdefghijklmnopqrst"
    a = [device(f"kiosk-{n}") for n in names]
    b = [
        device(f"kiosk-{n}", offline_s=100.0 + 200.0 * (n == "t"), reboots=n in "ab") for n in names
    ]
    found = compare([pair(side(a), side(b, digest="b"))])
    assert found.different[0] == names.index("t"), "away three times as long as anybody else"


def test_an_unknown_measure_is_answered_with_those_there_are():
    found = compare([pair(side(fleet(lambda i: i)), side(fleet(lambda i: i)))])
    with pytest.raises(ValueError, match=r"expected a measure \(offline_s, .*found 'speed'"):
        found.measure("speed")


def curves(values):
    return {"online": Series("devices", MINUTES, {"online": values})}


def test_the_page_and_the_terminal_escape_what_a_scenario_says(tmp_path):
    title = "<script>alert(1)</script> [bold]"
    a = side(fleet(lambda i: i), title=title, series=curves([8.0] * 10))
    b = side(fleet(lambda i: 2 * i), title=title, digest="b", series=curves([8.0] * 5 + [2.0] * 5))
    found = compare([pair(a, b)])
    text = page.render(found, tmp_path)
    assert "<script" not in text
    assert "default-src &#39;none&#39;" in text
    assert 'class="gap bad"' in text, "fewer devices online is worse, and filled as such"
    from rich.console import Console

    console = Console(width=100, record=True)
    terminal.summary(found, console)
    said = console.export_text()
    assert "[bold]" in said
    assert "B is worse in 1 of" in said


def test_the_document_is_json_whatever_is_missing(tmp_path):
    a = [device("kiosk-a", update_s=math.nan)]
    found = compare([pair(side(a), side(a, digest="b"))])
    made = msgspec.json.decode(document.encode(found, str(tmp_path)))
    by_name = {m["name"]: m for m in made["devices"]}
    assert by_name["update_s"]["a"] is None
    assert made["same"] is False
    assert made["paired"] == 1
