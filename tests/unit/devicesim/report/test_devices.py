"""Rows of devices survive the file, and what is not known stays unknown."""

import math

import pytest

from devicesim.report.devices import BY_NAME, COLUMNS, NAMES, DeviceRow, from_csv, to_csv


def row(device="kiosk-0001", **numbers):
    return DeviceRow(
        (device, "kiosk", "rpi4-kiosk", "fcc-dsl", "us, east", "gauge@1.1.0"),
        tuple(numbers.get(name, 0.0) for name in BY_NAME),
    )


def test_what_is_written_is_read_back():
    rows = [row(offline_s=1 / 3, bytes_up=2.0**52), row("kiosk-0002", update_s=math.nan)]
    again = from_csv(to_csv(rows))
    assert again[0] == rows[0], "numbers must survive to the last bit"
    assert math.isnan(again[1].numbers[list(BY_NAME).index("update_s")])
    assert again[1].words == rows[1].words


def test_what_is_not_known_is_an_empty_cell_and_zero_is_not():
    text = to_csv([row(update_s=math.nan)])
    header, line = text.splitlines()
    cells = dict(zip(header.split(","), line.replace('"us, east"', "x").split(","), strict=True))
    assert cells["update_s"] == ""
    assert cells["offline_s"] == "0"


def test_a_file_of_an_older_version_says_what_to_do():
    text = to_csv([row()]).replace("energy_j", "joules")
    with pytest.raises(ValueError, match=r"expected columns energy_j.*run it again"):
        from_csv(text)


def test_a_column_of_a_later_version_is_passed_over():
    header, line = to_csv([row()]).splitlines()
    assert from_csv(f"{header},later\n{line},7\n") == [row()]


def test_every_column_has_a_name_of_its_own_and_a_sentence():
    assert len(BY_NAME) == len(COLUMNS)
    assert not set(BY_NAME) & set(NAMES)
    assert all(column.title and column.means for column in COLUMNS)
