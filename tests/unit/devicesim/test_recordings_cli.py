"""What the commands print and how they end; what they make is tested with `devicesim.recordings`."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from devicesim import recordings_cli

DATA = str(Path(__file__).parents[2] / "data" / "outage-200.log.gz")


@pytest.fixture
def run():
    app = typer.Typer()
    recordings_cli.register(app)
    return lambda *words: CliRunner().invoke(app, [str(word) for word in words])


def test_an_import_says_what_it_found_in_a_few_lines(run, tmp_path):
    done = run("import", DATA, "--out", tmp_path / "mine")
    assert done.exit_code == 0, done.output
    keys = [line.split()[0] for line in done.stdout.splitlines()]
    assert keys == ["read", "found", "lasted", "online", "wrote", "run"]
    assert "200 devices (kiosk 140, meter 60), 429 sessions" in done.stdout
    assert (tmp_path / "mine" / "scenario.yaml").read_text().startswith("# Replays a recording")


def test_a_part_and_a_choice(run, tmp_path):
    done = run(
        "import",
        DATA,
        "--out",
        tmp_path / "part",
        "--from",
        "1m",
        "--until",
        "3m",
        "--only",
        "^meter",
    )
    assert "60 devices (meter 60)" in done.stdout
    assert "140 other clients left out" in done.stdout
    assert "lasted   2m from" in done.stdout


def test_a_replay_that_is_apart_ends_with_one(run, tmp_path):
    table = tmp_path / "t.csv"
    rows = [
        f"d-{i},{at},{at + 0.6}" for i in range(4) for at in range(0, 300, 1)
    ]  # too short to be followed
    table.write_text("\n".join(("device,up,down", *rows)))
    done = run("import", table, "--out", tmp_path / "apart", "--verify")
    assert done.exit_code == 1, done.output
    assert "apart    " in done.stdout


def test_a_link_alone_is_converted(run, tmp_path):
    trace = tmp_path / "way.mahi"
    trace.write_text("\n".join(str(10 * n) for n in range(1, 101)))
    done = run("import", "--link", trace, "--rtt", "60ms")
    assert done.exit_code == 0, done.output
    assert "1.0 s in 10 rows: 1.20 Mbit/s on average" in done.stdout
    assert (tmp_path / "way.link.csv").read_text().splitlines()[
        1
    ] == "time_s,down_bit_s,up_bit_s,rtt_ms,loss_share"


def test_a_link_under_a_fleet(run, tmp_path):
    trace = tmp_path / "way.txt"
    trace.write_text("0 5\n1 6\n2 7\n")
    done = run("import", DATA, "--link", trace, "--out", tmp_path / "both")
    assert done.exit_code == 0, done.output
    assert "link: {trace: link.csv}" in (tmp_path / "both" / "scenario.yaml").read_text()
    assert (tmp_path / "both" / "link.csv").is_file()


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ((), "expected a log, a table or --link"),
        (("nothing.log",), "expected a log or a table in nothing.log, found no such file"),
        ((DATA, "--from", "9h"), "expected a part of the recording"),
        ((DATA, "--only", "car"), "left all of them out"),
        ((DATA, "--utc-offset", "2"), "expected --utc-offset such as +02:00"),
        ((DATA, "--link", "no.mahi"), "expected a link trace in no.mahi"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_imported_ends_with_two_and_says_why(run, tmp_path, words, why):
    done = run("import", *words, "--out", tmp_path / "x")
    assert done.exit_code == 2
    assert why in done.output
    assert not (tmp_path / "x").exists()


def test_lines_that_are_not_understood_are_told(run, tmp_path):
    log = tmp_path / "m.log"
    log.write_text(
        "100000000: New client connected from 1.1.1.1:1 as a-1 (p5, c1, k60).\n"
        "100000030: Client a-1 was disconnected oddly\n100000060: Client a-1 disconnected.\n"
    )
    done = run("import", log, "--out", tmp_path / "x")
    assert done.exit_code == 0
    assert f"{log}:2: not understood" in done.output


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--broker", "here"), "expected one of"),
        (("--broker", "mqtt://127.0.0.1:1", "--source", "gossip"), "expected --source auto, log"),
        (("--broker", "mqtt://127.0.0.1:1", "--for", "long"), "long"),
    ],
)
def test_what_cannot_be_captured_ends_with_an_error(run, tmp_path, words, why):
    done = run("capture", *words, "--out", tmp_path / "x.csv")
    assert done.exit_code in (2, 3)
    assert why in done.output


def test_a_bad_row_and_a_missing_zone_are_told(run, tmp_path):
    table = tmp_path / "b.csv"
    table.write_text(
        "device,up,down\nkiosk-1,2024-07-16T10:00:00,2024-07-16T11:00:00\n"
        "kiosk-2,2024-13-45T10:00:00Z,2024-07-16T11:00:00\n"
    )
    done = run("import", table, "--out", tmp_path / "x")
    assert done.exit_code == 0, done.output
    assert f"{table}:3: column up: expected ISO 8601 (2024-07-16T10:00:00Z)" in done.output
    assert "found '2024-13-45T10:00:00Z'; this row of kiosk-2 is left out" in done.output
    assert done.output.count(f"{table}: times without a zone are taken as UTC") == 1
