"""Whatever a file says, the answer is a recording that can be run, or one clear complaint: never a crash."""

from __future__ import annotations

import gzip
import re
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from devicesim.recordings.curve import online_curve
from devicesim.recordings.drafting import Draft, chosen, counts_of, scenario_text
from devicesim.recordings.intervals import Builder, RecordingError, pairs
from devicesim.recordings.links import read_link, write_link
from devicesim.recordings.mosquitto import Log, Spelling, read_message
from devicesim.recordings.native import write_recording
from devicesim.recordings.reading import read_files
from devicesim.scenario import load

PROFILE = settings(derandomize=True, max_examples=60, deadline=None, database=None)
LOG = gzip.decompress(
    (Path(__file__).parents[1] / "data" / "outage-200.log.gz").read_bytes()
).decode()
LINES = st.sampled_from([line for line in LOG.splitlines()[:400] if "kiosk" in line])
STAMPS = st.sampled_from(
    ["1763747168: ", "2026-02-30T25:00:00: ", "Feb 30 12:00:00 h m[1]: ", "99999999999: ", "", "0: ",
     "2024-07-16T10:00:00+99:99: ", "1e9: ", "\u0663\u0663: ", "2024-07-16T10:00:61: "]
)  # fmt: skip
MESSAGES = st.sampled_from(
    ["Client %s disconnected.", "New client connected from x as %s (p5, c1, k60).",
     "Client %s already connected, closing old connection.", "mosquitto version 2 running",
     "mosquitto version %s terminating", "Socket error on client %s, disconnecting.", '{"log": "%s"}', "%s"]
)  # fmt: skip
MADE = st.builds(lambda a, b, c: a + b.replace("%s", c), STAMPS, MESSAGES, st.text(max_size=12))
ANY_LINE = st.one_of(
    LINES, MADE, st.text(max_size=60), st.binary(max_size=60).map(lambda b: b.decode("latin-1"))
)
CELL = st.one_of(
    st.sampled_from(
        [
            "a",
            "b",
            "",
            "0",
            "12.5",
            "1700000000",
            "-1",
            "1e9",
            "nan",
            "2024-07-16T10:00:00Z",
            '"',
            "up",
            "1" * 30,
        ]
    ),
    st.text(max_size=8),
)
HEADER = st.sampled_from(
    [
        "device,up,down",
        "device;time;state",
        "# fleetdrill-presence 1",
        "# start: x",
        "# unknown: 1/2",
        "a,b,c",
        "",
    ]
)


def clear(error, pattern="expected"):
    """A complaint says what was expected."""
    assert re.search(pattern, str(error)), error


def check(recording):
    """What every recording promises."""
    for edges in recording.edges.values():
        flat = list(edges)
        assert flat == sorted(set(flat)), "rising"
        assert all(up < down for up, down in pairs(edges))
        assert not flat or (flat[0] >= 0 and flat[-1] <= recording.length_ns)
    curve = online_curve(recording.edges.values(), recording.length_ns, 10**15)
    assert all(-1e-6 <= value <= len(recording.edges) + 1e-6 for value in curve)


def answer(*texts, spelling=None):
    """Read the texts as files; a recording is written, read back and made a scenario of."""
    with tempfile.TemporaryDirectory() as name:
        files = []
        for number, text in enumerate(texts):
            file = Path(name) / f"{number}.log"
            file.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "replace"))
            files.append(str(file))
        try:
            recording = read_files(files, spelling).recording
        except RecordingError as error:
            clear(error)
            return None
        check(recording)
        try:
            mine, _ = chosen(recording, keep_made_up=True)
        except RecordingError:
            return recording
        write_recording(mine, Path(name) / "p.csv")
        again = read_files([str(Path(name) / "p.csv")]).recording
        assert again.edges == mine.edges
        assert again.length_ns == mine.length_ns
        load(scenario_text(Draft(name="x", recording=mine, counts=counts_of(mine))), (), None)
        return recording


@PROFILE
@given(
    st.lists(ANY_LINE, max_size=25).map("\n".join), st.sampled_from(["", "%d.%m.%Y", "%", "%Y-%f"])
)
def test_any_log(text, form):
    answer(text, spelling=Spelling(time_format=form))


@PROFILE
@given(
    st.lists(
        st.tuples(HEADER, st.lists(st.lists(CELL, max_size=4).map(",".join), max_size=8)),
        max_size=2,
    )
)
def test_any_table(parts):
    answer("\n".join("\n".join((header, *rows)) for header, rows in parts))


@PROFILE
@given(st.binary(max_size=200), st.sampled_from([b"", b"\x1f\x8b", b"BZh9", b"\xfd7zXZ\x00"]))
def test_any_bytes(data, magic):
    answer(magic + data)


@PROFILE
@given(st.lists(LINES, min_size=1, max_size=40), st.lists(LINES, max_size=40))
def test_two_files_are_one_recording(first, second):
    answer("\n".join(first), "\n".join(second))
    builder = Builder()
    log = Log(builder, Spelling())
    for line in sorted([*first, *second], key=lambda each: each[:10]):
        log.line(line, "x", 1)
    assert log.unclear == 0


@PROFILE
@given(st.text(max_size=80))
def test_any_message(text):
    for start in (
        "",
        "Client ",
        "New client connected from ",
        "mosquitto version ",
        "Socket error on client ",
    ):
        event = read_message(start + text)
        assert event is None or event.kind in range(5)


NUMBER = st.one_of(
    st.integers(-5, 10**6).map(str),
    st.floats().map(str),
    st.sampled_from(["", "1e308", "1" * 40, "x", "-0"]),
)


@PROFILE
@given(
    st.sampled_from(
        ["", "time,mbit\n", "time,mbit,rtt,loss\n", "latency,throughput,gap,loss\n", "#\n"]
    ),
    st.lists(st.lists(NUMBER, min_size=1, max_size=4), max_size=12),
    st.sampled_from([",", " ", "\t", ";"]),
)
def test_any_link(header, rows, delimiter):
    link(header + "\n".join(delimiter.join(row) for row in rows))


@PROFILE
@given(st.text(max_size=100))
def test_any_text_as_a_link(text):
    link(text)
    link('[ "$1" == "a" ]\n' + text + "\nlat_array=(1 2)", condition="a/b")


def link(text, **more):
    try:
        trace = read_link(text, **more)
    except RecordingError as error:
        clear(error)
        return
    assert trace.length_ns > trace.starts_ns[-1] >= 0
    try:
        again = read_link(write_link(trace, "x"))
    except (
        RecordingError
    ) as error:  # rates below a bit and times below a millisecond are not written
        clear(error, "carry something|rise|lasts")
        return
    assert abs(again.length_ns - trace.length_ns) <= max(10**10, trace.length_ns)


# a line of a log or a table holds no line feed, and no name is empty
NAME = st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), min_size=1)
AWKWARD = st.sampled_from(
    ["#7", "# start: x", "# unknown: 1/2", " a", "a ", "\ufeffa", "\0", "\r", '"', "a\rb", ","]
)


@PROFILE
@given(st.dictionaries(st.one_of(AWKWARD, NAME), st.one_of(st.none(), AWKWARD, NAME), min_size=1))
def test_any_name_is_read_back(groups):
    builder = Builder()
    for device, group in groups.items():
        builder.interval(device, 1_700_000_000 * 10**9, 1_700_000_060 * 10**9)
        if group is not None:
            builder.groups[device] = group
    recording = builder.finish("x")
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "p.csv"
        write_recording(recording, file)
        found = read_files([str(file)])
    assert found.unclear == 0
    assert found.recording.edges == recording.edges
    assert found.recording.groups == recording.groups
