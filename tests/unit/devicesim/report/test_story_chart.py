from msgspec.structs import replace

from devicesim.report.record import Band, CheckRow, Lane, LaneMark
from devicesim.report.story_chart import LEFT, RIGHT, WIDTH, story_chart
from tests_kit.records import bare

MARKS = [
    LaneMark(100.0, "path dark", "gone"),
    LaneMark(130.0, "disconnected", "noticed"),
    LaneMark(140.0, "attempt", "tries"),
    LaneMark(141.0, "back_off", "waits"),
    LaneMark(180.0, "connected", "back"),
]
ROW = CheckRow(
    "online_ratio", "eventually", False, "late", 200.0, first_bad_ns=200 * 10**9,
    lanes=[Lane("kiosk-0000", MARKS), Lane("kiosk-0001", [])],
)  # fmt: skip


def test_a_row_is_green_while_connected_and_broken_while_away():
    chart = story_chart(bare("failed"), ROW)
    (row,) = chart["rows"]
    assert [stretch.state for stretch in row.stretches] == ["up", "away", "up"]
    assert row.stretches[0].x == LEFT
    assert abs(row.stretches[-1].x + row.stretches[-1].width - (WIDTH - RIGHT)) < 1e-6
    assert [mark.look for mark in row.marks] == ["bad", "bad", "try", "good"], "waits are no marks"


def test_the_instant_from_which_it_did_not_hold_is_on_the_page():
    chart = story_chart(bare("failed"), ROW)
    assert LEFT < chart["bad"] <= WIDTH - RIGHT
    assert chart["bad_text"] == "+0:03:20"
    assert chart["ticks"]


def test_faults_of_that_time_stand_behind_and_their_labels_do_not_touch():
    bands = [Band(90.0, 170.0, "blackout (195)", "partition"), Band(91.0, 99.0, "crawl", "bandwidth"),
             Band(900.0, 999.0, "later", "loss")]  # fmt: skip
    shades = story_chart(replace(bare("failed"), bands=bands), ROW)["shades"]
    assert [shade.text for shade in shades] == ["blackout (195)", ""]
    assert shades[0].hint == "blackout (195): +0:01:30 to +0:02:50"


def test_without_moments_there_is_no_picture():
    assert story_chart(bare("failed"), replace(ROW, lanes=[])) is None
    assert story_chart(bare("failed"), replace(ROW, first_bad_ns=None)) is None


def test_a_device_that_was_off_has_no_line_until_it_boots():
    lane = Lane("kiosk-0000", [LaneMark(10.0, "boot", ""), LaneMark(12.0, "connected", "")])
    (row,) = story_chart(bare("failed"), replace(ROW, lanes=[lane]))["rows"]
    assert [stretch.state for stretch in row.stretches] == ["away", "up"]


def test_a_device_that_only_tries_is_away():
    """Its line was green, because nothing told that it had ever been gone."""
    marks = [LaneMark(100.0, "attempt", "tries"), LaneMark(120.0, "back_off", "waits")]
    (row,) = story_chart(bare("failed"), replace(ROW, lanes=[Lane("kiosk-0000", marks)]))["rows"]
    assert [stretch.state for stretch in row.stretches] == ["away"]


def test_a_clear_path_does_not_say_that_somebody_is_online():
    """Devices with empty batteries had a green line, because their paths were clear."""
    lane = Lane("thermostat-0000", [LaneMark(100.0, "path clear", "could be reached again")])
    (row,) = story_chart(bare("failed"), replace(ROW, lanes=[lane]))["rows"]
    assert [stretch.state for stretch in row.stretches] == ["unknown"]


def test_a_repair_does_not_stand_behind_as_if_it_were_a_fault():
    bands = [Band(90.0, 170.0, "by hand (3)", "device.repair")]
    assert story_chart(replace(bare("failed"), bands=bands), ROW)["shades"] == []
