from __future__ import annotations

from array import array

import pytest

from devicesim.recordings.drafting import (
    Draft,
    chosen,
    counts_of,
    lowest,
    readme_text,
    scenario_text,
    write_draft,
)
from devicesim.recordings.intervals import Recording, RecordingError
from devicesim.scenario import load

S = 10**9


def recording(ids, length_s=600, **more):
    edges = {device: array("q", [0, length_s * S]) for device in ids}
    return Recording(1_721_000_000 * S, length_s * S, edges, **more)


def draft(one, **more):
    return Draft(name="lab", recording=one, counts=counts_of(one), **more)


def test_groups_devices_and_length_come_from_the_recording():
    one, left_out = chosen(
        recording([f"kiosk-{i}" for i in range(30)] + [f"cam-{i}" for i in range(9)])
    )
    scenario = load(scenario_text(draft(one)), (), None)
    assert [(group.group, group.count) for group in scenario.fleet] == [("cam", 9), ("kiosk", 30)]
    assert scenario.clock.duration_ns == 600 * S
    assert scenario.clock.start_unix_ns == 1_721_000_000 * S
    assert left_out == 0
    assert list(one.edges)[9:12] == ["kiosk-0", "kiosk-1", "kiosk-2"], "in their natural order"


def test_clients_of_a_moment_are_left_out_and_counted():
    ids = ["d-1", "d-2", "mosqsub|1-x", "auto-5E69289A-A711-C1C4-67D6-A346085553C2"]
    assert chosen(recording(ids))[1] == 2
    assert chosen(recording(ids), keep_made_up=True)[1] == 0


def test_expressions_choose():
    ids = ["north-1", "north-2", "south-1"]
    assert list(chosen(recording(ids), only="^north")[0].edges) == ["north-1", "north-2"]
    assert list(chosen(recording(ids), ignore="-1$")[0].edges) == ["north-2"]
    with pytest.raises(RecordingError, match="left all of them out"):
        chosen(recording(ids), only="east")
    with pytest.raises(RecordingError, match="expected a regular expression"):
        chosen(recording(ids), only="(")


def test_the_recordings_own_groups_are_kept():
    one, _ = chosen(recording(["a", "b"], groups={"a": "till no. 7", "b": "door"}))
    assert one.groups == {"b": "door", "a": "till-no-7"}


@pytest.mark.parametrize(
    "device", ['x"\n- evil: 1', "{{}}", "é" * 200, "#", "-" * 30, "a\\b", "null-1"]
)
def test_whatever_a_client_is_called_the_scenario_loads(device):
    one, _ = chosen(recording([device]))
    text = scenario_text(draft(one, title='say "hi"\n: #'))
    assert sum(group.count for group in load(text, (), None).fleet) == 1
    assert "\n" in readme_text(draft(one), {"read": device})


def test_the_lowest_is_after_the_beginning():
    late = {f"d-{i}": array("q", [(60 + i) * S, 300 * S, 400 * S, 600 * S]) for i in range(10)}
    low, at = lowest(Recording(0, 600 * S, late))
    assert (low, at) == (0.0, 300 * S)


def test_the_folder_has_all_that_is_needed(tmp_path):
    one, _ = chosen(recording(["a-1"]))
    write_draft(draft(one), tmp_path / "new", {"read": "x | y"})
    assert sorted(each.name for each in (tmp_path / "new").iterdir()) == [
        "README.md", "presence.csv", "scenario.yaml",
    ]  # fmt: skip
    assert "| read | x   y |" in (tmp_path / "new" / "README.md").read_text()
