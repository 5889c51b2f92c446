from __future__ import annotations

import gzip
import io
import lzma

import pytest

from devicesim.recordings.intervals import RecordingError
from devicesim.recordings.reading import LINE_BYTES_MAX, read_files

UP = "New client connected from 1.1.1.1:1 as {} (p5, c1, k60).\n"
FIRST = f"100000000: {UP.format('a')}100000030: {UP.format('b')}"
SECOND = "100000060: Client a disconnected.\n100000090: Client b disconnected.\n"
S = 10**9


def spans(findings):
    return {d: [at / S for at in edges] for d, edges in findings.recording.edges.items()}


WHOLE = {"a": [0.5, 60.5], "b": [30.5, 90.5]}


def test_rotated_files_are_read_in_the_order_of_their_time(tmp_path):
    (tmp_path / "m.log").write_text(SECOND)
    (tmp_path / "m.log.1.gz").write_bytes(gzip.compress(FIRST.encode()))
    found = read_files([str(tmp_path / "m.log"), str(tmp_path / "m.log.1.gz")])
    assert spans(found) == WHOLE
    assert [name.rpartition("/")[2] for name in found.files] == ["m.log.1.gz", "m.log"]
    assert (found.lines, found.about) == (4, 4)


def test_packed_and_plain_are_told_apart_by_their_bytes(tmp_path):
    (tmp_path / "m").write_bytes(lzma.compress((FIRST + SECOND).encode()))
    assert spans(read_files([str(tmp_path / "m")])) == WHOLE


def test_a_packed_file_that_is_cut_short_gives_what_it_has(tmp_path):
    packed = gzip.compress((FIRST + SECOND).encode() + b"100000099: x\n" * 20_000)
    (tmp_path / "m.gz").write_bytes(packed[:-20])
    found = read_files([str(tmp_path / "m.gz")])
    assert found.cut_short == [str(tmp_path / "m.gz")]
    assert spans(found) == WHOLE


def test_what_only_looks_packed_is_refused(tmp_path):
    (tmp_path / "m.gz").write_bytes(b"\x1f\x8b" + b"not packed at all")
    with pytest.raises(RecordingError, match="expected a file that can be unpacked"):
        read_files([str(tmp_path / "m.gz")])


def test_a_line_without_an_end_costs_no_memory_and_is_not_understood(tmp_path):
    (tmp_path / "m.log").write_bytes(
        FIRST.encode() + b"x" * (3 * LINE_BYTES_MAX) + b"\n" + SECOND.encode()
    )
    found = read_files([str(tmp_path / "m.log")])
    assert spans(found) == WHOLE
    assert (found.unclear, found.complaints[0].line) == (1, 3)
    assert len(found.complaints[0].text) <= 160


def test_standard_input_is_a_log():
    assert spans(read_files(["-"], stdin=io.BytesIO((FIRST + SECOND).encode()))) == WHOLE


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "0 lines"),
        ("hello\n" * 3, "found 0 devices"),
        ("100000000: x\n100000001: y\n", "notices"),
    ],
)
def test_nothing_in_it_says_what_was_looked_at(tmp_path, text, why):
    (tmp_path / "m.log").write_text(text)
    with pytest.raises(RecordingError, match=why):
        read_files([str(tmp_path / "m.log")])


def test_no_file_a_folder_and_a_mixture_are_refused(tmp_path):
    (tmp_path / "m.log").write_text(FIRST)
    (tmp_path / "t.csv").write_text("device,up,down\na,0,1\n")
    with pytest.raises(RecordingError, match="no such file"):
        read_files([str(tmp_path / "no.log")])
    with pytest.raises(RecordingError, match="a folder"):
        read_files([str(tmp_path)])
    with pytest.raises(RecordingError, match="either logs or tables"):
        read_files([str(tmp_path / "m.log"), str(tmp_path / "t.csv")])


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("name;von;bis\nkiosk-1;2024-07-16T10:00:00Z;\n",
         "t.csv:1: expected columns device,up,down or device,time,state, found name;von;bis"),
        ("name,von,bis\n", "t.csv:1: expected columns device,up,down"),
        ("device,up,down\na,soon,\n", "t.csv:2: column up: expected ISO 8601"),
    ],
)  # fmt: skip
def test_a_table_that_is_not_understood_gets_no_advice_about_logs(tmp_path, text, why):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(RecordingError) as caught:
        read_files([str(tmp_path / "t.csv")])
    assert why in str(caught.value)
    assert "mosquitto" not in str(caught.value)
