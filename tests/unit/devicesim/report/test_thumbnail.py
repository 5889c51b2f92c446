"""A thumbnail is small, whole, and says what the run's curves say."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import msgspec
import pytest

from devicesim.report.palette import FAMILY_COLOURS, GREEN, VERMILLION
from devicesim.report.record import Band, RunRecord, Series
from devicesim.report.thumbnail import BYTES_MAX, main, read_record, thumbnail
from tests_kit.records import outage

SVG = "{http://www.w3.org/2000/svg}"


def words(text: str) -> list[str]:
    return [node.text or "" for node in ET.fromstring(text).iter(f"{SVG}text")]


def test_it_is_small_and_the_same_for_the_same_run() -> None:
    text = thumbnail(outage())
    assert len(text.encode()) <= BYTES_MAX, "a table of thumbnails would be heavier than its page"
    assert text == thumbnail(outage())
    assert ET.fromstring(text).get("viewBox") == "0 0 480 140"


@pytest.mark.parametrize(("broken", "said"), [(False, "held"), (True, "failed")])
def test_the_verdict_is_in_words_and_colour(*, broken: bool, said: str) -> None:
    text = thumbnail(outage(broken=broken))
    assert said in words(text)
    assert (VERMILLION if broken else GREEN) in text


def test_faults_are_tinted_in_the_colour_of_their_family() -> None:
    record = msgspec.structs.replace(outage(), bands=[Band(60.0, 60.0, "x", "broker.restart")])
    bands = [node for node in ET.fromstring(thumbnail(record)).iter(f"{SVG}rect")
             if node.get("fill") == FAMILY_COLOURS["broker"]]  # fmt: skip
    assert len(bands) == 2, "one tint and one mark"
    assert all(float(band.get("width", "0")) >= 2 for band in bands), "a moment can be seen"


def test_one_version_only_gives_its_place_to_connects() -> None:
    whole = outage()
    series = {"online": whole.series["online"], "retries": whole.series["retries"]}
    text = thumbnail(msgspec.structs.replace(whole, series=series))
    assert "connects" in words(text), words(text)


def test_what_was_not_measured_is_a_gap_and_an_empty_run_a_picture() -> None:
    nan = float("nan")
    gap = Series("devices", [0.0, 60.0, 120.0, 180.0], {"online": [1.0, nan, nan, 1.0]})
    text = thumbnail(RunRecord(scenario="gap", seed=1, verdict="passed", series={"online": gap}))
    line = next(node.get("d", "") for node in ET.fromstring(text).iter(f"{SVG}path")
                if node.get("fill") == "none")  # fmt: skip
    assert line.count("M") == 2, line
    assert "empty" in words(thumbnail(RunRecord(scenario="empty", seed=1, verdict="failed")))


def test_the_command_reads_a_folder_and_writes_a_picture(tmp_path: Path) -> None:
    record = outage()
    (tmp_path / "record.json").write_bytes(msgspec.json.encode(record))
    assert read_record(tmp_path).scenario == record.scenario
    assert main([str(tmp_path), "-o", str(tmp_path / "pictures" / "a.svg")]) == 0
    assert (tmp_path / "pictures" / "a.svg").read_text() == thumbnail(record)


def test_a_folder_without_a_run_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path)]) == 2
    assert "found no record.json" in capsys.readouterr().err
