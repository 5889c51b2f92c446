from __future__ import annotations

import re

import pytest

from devicesim.recordings.intervals import Builder, Recording, RecordingError
from devicesim.recordings.native import write_recording
from devicesim.recordings.reading import read_files
from devicesim.recordings.tables import Table

S = 10**9


def read(text):
    builder = Builder()
    table = Table(builder)
    for number, line in enumerate(text.splitlines(), 1):
        table.line(line, "t.csv", number)
    recording = builder.finish(start=table.start, end=table.end)
    return {device: [at / S for at in edges] for device, edges in recording.edges.items()}, table


HEADERS = [
    ("device,up,down", "a,1700000000,1700000060"),
    ("client_id;connected_at;disconnected_at", "a;1700000000.0;1700000060"),
    ("Client ID\tConnected At\tDisconnected At", "a\t1700000000000\t1700000060000"),
    ("id,from,to,site", "a,2023-11-14T22:13:20Z,2023-11-14T22:14:20Z,x"),
    ("down,up,device", "2023-11-14 22:14:20,2023-11-14 22:13:20,a"),
    ("name,start,end", '"a",1700000000000000,1700000060000000000'),
]


@pytest.mark.parametrize(("header", "row"), HEADERS, ids=[header for header, _ in HEADERS])
def test_headers_and_instants_have_many_spellings(header, row):
    assert read(f"{header}\n{row}")[0] == {"a": [0, 60]}


EVENTS = [
    ("device,time,state", ("a,1700000000,up", "a,1700000060,down")),
    ("clientId,timestamp,eventType", ("a,1700000000000,connected", "a,1700000060000,disconnected")),
    ("time,client,online", ("2023-11-14T22:13:20Z,a,true", "2023-11-14T22:14:20Z,a,false")),
]


@pytest.mark.parametrize(("header", "rows"), EVENTS, ids=[header for header, _ in EVENTS])
def test_events_are_a_table_too(header, rows):
    assert read("\n".join((header, *rows)))[0] == {"a": [0, 60]}


def test_small_numbers_count_from_the_start_and_open_ends_are_open():
    found, _ = read(
        "# start: 2023-11-14T22:13:20Z\n# end: 2023-11-14T22:15:00Z\ndevice,up,down\na,,12.5\nb,30,\n"
    )
    assert found == {"a": [0, 12.5], "b": [30, 100]}


def test_a_row_that_cannot_be_read_is_told_by_its_place():
    found, table = read("device,up,down\na,0,10\n,1,2\nb,soon,9\nc,9,3\nd\nd,2,8\n")
    assert found == {"a": [0, 10], "d": [2, 8]}
    assert [(c.line, c.text) for c in table.complaints] == [
        (3, ",1,2"),
        (4, "b,soon,9"),
        (5, "c,9,3"),
        (6, "d"),
    ]


@pytest.mark.parametrize("header", ["a,b,c", "device,up", "up,down,when", "device;up,down"])
def test_a_header_that_says_too_little_is_refused(header):
    with pytest.raises(RecordingError, match=r"t.csv:1: expected a header such as device,up,down"):
        read(header + "\n1,2,3")


def test_a_later_version_is_refused():
    with pytest.raises(RecordingError, match="expected version 1"):
        read("# fleetdrill-presence 2\ndevice,up,down\n")


def test_what_is_written_is_read_back(tmp_path):
    builder = Builder()
    builder.interval('b, "quoted"', 1_700_000_000 * S + 1, 1_700_000_060 * S)
    builder.interval("a", 1_700_000_010 * S, 1_700_000_020 * S)
    builder.interval("never", 1_700_000_000 * S, 1_700_000_000 * S)
    builder.groups["a"] = "g"
    builder.nobody_looked(1_700_000_030 * S, 1_700_000_031 * S)
    recording = builder.finish("somewhere", end=1_700_000_100 * S)
    write_recording(recording, tmp_path / "p.csv")
    again = read_files([str(tmp_path / "p.csv")]).recording
    assert again == Recording(
        recording.start_unix_ns, recording.length_ns, recording.edges, {"a": "g"}, recording.unknown, "somewhere"
    )  # fmt: skip


def test_after_the_header_there_are_no_comments():
    found, table = read("# a comment\ndevice,up,down\n#7,0,10\n# start: x,0,5\n")
    assert found == {"#7": [0, 10], "# start: x": [0, 5]}
    assert not table.complaints


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("device,up,down\na,2024-13-45T10:00:00Z,",
         r"column up: expected ISO 8601 \(2024-07-16T10:00:00Z\) or an epoch in s, ms, us or ns, found '2024-13-45T1.* of a is left"),
        ("device,Ends,up,down\na,1,0,soon", "column down: expected ISO 8601 .* found 'soon'"),
        ("device,up,down\na,9,3", "expected an end after the begin, found 3 after 9; this row of a"),
        ("device,up,down\n,1,2", "column device: expected a name, found nothing"),
        ("device,up,down\na,1", "expected at least 3 cells, found 2"),
        ("device,time,state\na,1,maybe", "column state: expected online or offline .*, found 'maybe'"),
        ("device,time,state\na,x,up", "column time: expected ISO 8601 .*, found 'x'"),
    ],
)  # fmt: skip
def test_a_complaint_says_which_column_and_what_was_expected(text, why):
    table = Table(Builder())
    for number, line in enumerate(text.splitlines(), 1):
        table.line(line, "t.csv", number)
    assert re.match(why, table.complaints[0].why), table.complaints[0].why


def test_a_time_without_a_zone_is_noted_once_a_file():
    row = "a,2024-07-16T10:00:00,2024-07-16T11:00:00"
    assert read(f"device,up,down\n{row}\n{row}")[1].zoneless == ["t.csv"]
    assert read("device,up,down\na,2024-07-16T10:00:00Z,1721127600")[1].zoneless == []
