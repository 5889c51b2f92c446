"""The commands ``fleetdrill import`` and ``fleetdrill capture``.

Decides options, what is printed and exit codes. Leaves out all work (`devicesim.recordings`).

Exit codes: 0 done; 1 the replay does not match the recording (``--verify``); 2 an argument or a file is
invalid; 3 the program itself failed.
"""

from __future__ import annotations

import re
from pathlib import Path
from time import perf_counter_ns
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple, Self

import typer

from devicesim.guarded import guarded

if TYPE_CHECKING:
    from devicesim.models.link_trace import Trace
    from devicesim.recordings.curve import Deviation
    from devicesim.recordings.drafting import Draft
    from devicesim.recordings.intervals import Recording
    from devicesim.recordings.reading import Findings

EXIT_DONE, EXIT_APART = 0, 1
WORST_SHOWN: Final = 5
SETBACKS_LIKELY_MAX: Final = 10

Files = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="FILE...",
        help="Logs of a mosquitto (rotated and packed ones, in any order), tables of sessions or events, or"
        " recordings; - for standard input.",
        show_default=False,
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(help="Folder of the scenario; by default the name of the first file."),
]
Name = Annotated[str, typer.Option(help="Name of the scenario; by default the folder's.")]
LinkFile = Annotated[
    Path | None,
    typer.Option(
        "--link", help="Link trace: Mahimahi, seconds and Mbit/s, Akamai, CSV. Alone: convert it."
    ),
]
Rtt = Annotated[
    str | None, typer.Option(help="Round trip where the link trace says none, such as 60ms.")
]
Condition = Annotated[
    str, typer.Option(help="Of Akamai's script: experience_based/good and the like.")
]
Only = Annotated[str, typer.Option(help="Take clients whose id this regular expression matches.")]
Ignore = Annotated[str, typer.Option(help="Leave out clients whose id it matches.")]
KeepMadeUp = Annotated[
    bool, typer.Option("--keep-made-up", help="Keep clients whose id a library drew at random.")
]
Begin = Annotated[
    str | None,
    typer.Option("--from", help="Begin there: an instant, or a time since the first line."),
]
Until = Annotated[
    str | None, typer.Option(help="End there: an instant, or a time since the first line.")
]
Zone = Annotated[
    str, typer.Option(help="Local time minus UTC of stamps without a zone, such as +02:00.")
]
TimeFormat = Annotated[
    str, typer.Option(help="log_timestamp_format of the log, such as '%d.%m.%Y %H:%M:%S'.")
]
Year = Annotated[
    int | None, typer.Option(help="Of a syslog, whose stamps have none; by default the file's.")
]
Profile = Annotated[str, typer.Option(help="What the devices are: a file in scenarios/profiles.")]
Verify = Annotated[
    bool,
    typer.Option("--verify", help="Run the scenario and hold its curve against the recording."),
]
Broker = Annotated[str, typer.Option(help="mqtt://[user:password@]host[:port] or mqtts://...")]
Lasts = Annotated[str, typer.Option("--for", help="How long, such as 10m; Ctrl-C ends it well.")]
OutFile = Annotated[Path, typer.Option(help="Where the recording is written.")]
Certificates = Annotated[
    Path | None,
    typer.Option(
        help="For mqtts://: folder with ca.crt, and clients/recorder.crt and .key where the broker asks for them, "
        "as fleetdrill keys makes it."
    ),
]
Root = Annotated[str, typer.Option(help="Root of the fleet's topics.")]
Source = Annotated[
    str,
    typer.Option(
        help="log ($SYS/broker/log, mosquitto with log_dest topic), link (the fleet's own topics), count"
        " ($SYS/broker/clients/connected), or auto: the best that speaks."
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("import")(import_)
    app.command()(capture)


def import_(
    files: Files = None,
    *,
    out: Out = None,
    name: Name = "",
    link: LinkFile = None,
    rtt: Rtt = None,
    condition: Condition = "",
    only: Only = "",
    ignore: Ignore = "",
    keep_made_up: KeepMadeUp = False,
    begin: Begin = None,
    until: Until = None,
    utc_offset: Zone = "+00:00",
    time_format: TimeFormat = "",
    year: Year = None,
    profile: Profile = "rpi4-kiosk",
    verify: Verify = False,
) -> None:
    """Make a scenario of a recorded outage: its fleet comes and goes as the recorded one did."""
    wish = _Wish(
        tuple(files or ()), out, name, link, rtt, condition, only, ignore, keep_made_up, begin, until,
        utc_offset, time_format, year, profile, verify,
    )  # fmt: skip
    raise typer.Exit(guarded(lambda: _import(wish)))


class _Wish(NamedTuple):
    """What an import was asked for."""

    files: tuple[str, ...]
    out: Path | None
    name: str
    link: Path | None
    rtt: str | None
    condition: str
    only: str
    ignore: str
    keep_made_up: bool
    begin: str | None
    until: str | None
    utc_offset: str
    time_format: str
    year: int | None
    profile: str
    verify: bool


def _import(wish: _Wish) -> int:
    trace = None if wish.link is None else _read_trace(wish.link, wish)
    if not wish.files:
        if trace is None or wish.link is None:
            raise ValueError(
                "expected a log, a table or --link, found neither; see fleetdrill import --help"
            )
        return _convert(trace, wish.link, wish.out)
    findings = _read(wish)
    draft, folder = _draft(wish, findings)
    if trace is not None and wish.link is not None:
        draft.link = "{trace: link.csv}"
    facts = _facts(findings, draft)
    _write(draft, folder, facts, trace, wish)
    _complain(findings)
    for key, value in facts.items():
        typer.echo(f"{key:<9}{value}")
    scenario = folder / "scenario.yaml"
    typer.echo(f"{'wrote':<9}{scenario}, presence.csv, README.md" + (", link.csv" if trace else ""))
    typer.echo(f"{'run':<9}fleetdrill run {scenario}")
    return _verify(scenario) if wish.verify else EXIT_DONE


def _read_trace(file: Path, wish: _Wish) -> Trace:
    from devicesdk.wire.timebase import MS, parse_duration
    from devicesim.recordings.intervals import RecordingError
    from devicesim.recordings.stocking import load_trace

    if not file.is_file():
        raise RecordingError(f"expected a link trace in {file}, found no such file")
    rtt_ms = None if wish.rtt is None else parse_duration(wish.rtt) / MS
    return load_trace(file, rtt_ms=rtt_ms, condition=wish.condition)


def _convert(trace: Trace, file: Path, out: Path | None) -> int:
    """A link trace alone becomes a CSV that says everything."""
    from devicesim.recordings.links import write_link

    target = out or file.with_suffix(".link.csv")
    if target.is_dir():
        target = target / f"{file.stem}.link.csv"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(write_link(trace, f"link trace, from {file.name}"), encoding="utf-8")
    typer.echo(f"{'found':<9}{_spell_link(trace)}")
    typer.echo(f"{'wrote':<9}{target}")
    typer.echo(f"{'use':<9}link: {{trace: {target.name}}}   in a group, beside its scenario")
    return EXIT_DONE


def _spell_link(trace: Trace) -> str:
    from devicesdk.wire.timebase import MS, SECOND

    ends = (*trace.starts_ns[1:], trace.length_ns)
    lasts = [end - start for start, end in zip(trace.starts_ns, ends, strict=True)]
    mean = sum(r * ns for r, ns in zip(trace.down_bps, lasts, strict=True)) / trace.length_ns
    dark = sum(ns for r, ns in zip(trace.down_bps, lasts, strict=True) if not r) / trace.length_ns
    return (
        f"{trace.length_ns / SECOND:,.1f} s in {len(lasts):,} rows: {mean / 1e6:,.2f} Mbit/s on average, "
        f"{max(trace.down_bps) / 1e6:,.2f} at most, nothing for {100 * dark:.1f} % of the time, round trip "
        f"{sorted(trace.rtt_ns)[len(trace.rtt_ns) // 2] / MS:g} ms"
    )


def _read(wish: _Wish) -> Findings:
    from datetime import UTC, datetime

    from devicesim.recordings.mosquitto import Spelling
    from devicesim.recordings.reading import read_files

    year = wish.year
    if year is None:
        known = [Path(file) for file in wish.files if Path(file).is_file()]
        changed = min((file.stat().st_mtime for file in known), default=0.0)
        year = datetime.fromtimestamp(changed, UTC).year
    spelling = Spelling(_offset_ns(wish.utc_offset), year, wish.time_format)
    import sys

    with _Bar("reading") as bar:
        return read_files(list(wish.files), spelling, stdin=sys.stdin.buffer, pulse=bar.update)


def _offset_ns(text: str) -> int:
    from devicesdk.wire.timebase import MINUTE

    found = re.fullmatch(r"([+-])(\d\d):?(\d\d)", text)
    if found is None:
        raise ValueError(f"expected --utc-offset such as +02:00, found {text!r}")
    minutes = int(found[2]) * 60 + int(found[3])
    return (-minutes if found[1] == "-" else minutes) * MINUTE


class _Bar:
    """A progress bar on standard error, where that is a terminal."""

    def __init__(self, what: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self._bar = Progress(
            TextColumn(what), BarColumn(), TextColumn("{task.fields[lines]:,} lines"), TimeRemainingColumn(),
            console=Console(stderr=True), transient=True,
        )  # fmt: skip
        self._task = self._bar.add_task(what, total=1000, lines=0)

    def __enter__(self) -> Self:
        if self._bar.console.is_terminal:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def update(self, lines: int, permille: int) -> None:
        """Show how far it is."""
        self._bar.update(self._task, completed=permille, lines=lines)


def _instant(text: str, recording: Recording) -> int:
    """An instant, or a time since the first line, as ns since the recording's start."""
    from devicesdk.wire.timebase import parse_duration
    from devicesim.recordings.instants import read_instant

    at = read_instant(text)
    return parse_duration(text) if at is None else at - recording.start_unix_ns


def _draft(wish: _Wish, findings: Findings) -> tuple[Draft, Path]:
    from devicesim.recordings.drafting import Draft, chosen, counts_of

    recording = findings.recording
    if wish.begin is not None or wish.until is not None:
        begin = 0 if wish.begin is None else _instant(wish.begin, recording)
        end = recording.length_ns if wish.until is None else _instant(wish.until, recording)
        recording = recording.cut(begin, end)
    recording, ignored = chosen(
        recording, only=wish.only, ignore=wish.ignore, keep_made_up=wish.keep_made_up
    )
    first = wish.files[0]
    stem = "recording" if first == "-" else Path(first).name.split(".")[0] or "recording"
    folder = wish.out or Path(stem)
    text = wish.name or folder.resolve().name
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", text).strip("-_")[:48] or "recording"
    return Draft(
        name=name, recording=recording, counts=counts_of(recording), ignored=ignored, profile=wish.profile
    ), folder  # fmt: skip


def _write(
    draft: Draft, folder: Path, facts: dict[str, str], trace: Trace | None, wish: _Wish
) -> None:
    from devicesim.recordings.drafting import write_draft
    from devicesim.recordings.links import write_link

    if folder.is_file():
        raise ValueError(
            f"expected a folder for the scenario, found the file {folder}; name another: --out"
        )
    write_draft(draft, folder, facts)
    if trace is not None and wish.link is not None:
        text = write_link(trace, f"link trace, from {wish.link.name}")
        (folder / "link.csv").write_text(text, encoding="utf-8")


def _facts(findings: Findings, draft: Draft) -> dict[str, str]:
    """What was found, in a few lines."""
    from devicesdk.wire.timebase import format_duration
    from devicesim.recordings.curve import online_curve
    from devicesim.recordings.drafting import lowest, whole_seconds
    from devicesim.recordings.instants import spell

    recording = draft.recording
    curve = online_curve(recording.edges.values(), recording.length_ns)
    low, at = lowest(recording)
    mean = sum(
        d - u for e in recording.edges.values() for u, d in zip(e[::2], e[1::2], strict=True)
    )
    groups = ", ".join(f"{name} {count:,}" for name, count in list(draft.counts.items())[:6])
    more = f" and {len(draft.counts) - 6} more" if len(draft.counts) > 6 else ""
    left = f"; {draft.ignored:,} other clients left out" if draft.ignored else ""
    return {
        "read": f"{recording.source}: {findings.lines:,} lines, {findings.about:,} about"
        f" presence, {findings.unclear:,} not understood",
        "found": f"{len(recording.edges):,} devices ({groups}{more}), {recording.sessions:,} sessions{left}",
        "lasted": f"{format_duration(whole_seconds(recording.length_ns))} from {spell(recording.start_unix_ns)}",
        "online": f"{max(curve):,.0f} on average in the best minute; down to {low:,.0f} at "
        f"{format_duration(at) if at else '0s'}; {100 * mean / recording.length_ns / len(recording.edges):.1f} % of"
        " device time",
    }  # fmt: skip


def _complain(findings: Findings) -> None:
    """What is worth knowing, on standard error."""
    from devicesdk.wire.timebase import format_duration
    from devicesim.report.figures import printable

    for each in findings.complaints:
        why = each.why or f"not understood: {each.text}"
        typer.echo(f"{each.file}:{each.line}: {printable(why)}", err=True)
    if findings.unclear > len(findings.complaints) > 0:
        typer.echo(f"and {findings.unclear - len(findings.complaints):,} more such lines", err=True)
    for file in findings.zoneless:
        typer.echo(
            f"{file}: times without a zone are taken as UTC; if they are not: --utc-offset +02:00",
            err=True,
        )
    if findings.setbacks:
        typer.echo(
            f"the clock was set {findings.setbacks} times, by {format_duration(findings.set_back_ns)} in all: "
            "what follows was shifted, so that time goes on",
            err=True,
        )
    if findings.setbacks > SETBACKS_LIKELY_MAX:
        typer.echo("so often? lines of several brokers must be sorted by time first", err=True)
    for file in findings.cut_short:
        typer.echo(
            f"{file}: ends in the middle of its packed data; what was there is used", err=True
        )


def _verify(file: Path) -> int:
    """Run the scenario and hold its curve against the recording."""
    from devicesim.recordings.drafting import DEVIATION_MAX, share_text
    from devicesim.recordings.verify import replayed
    from devicesim.report.terminal import Progress

    found, scenario = replayed(
        file,
        lambda scenario: Progress(scenario.name, scenario.clock.duration_ns, perf_counter_ns),
    )
    for line in deviation_lines(found):
        typer.echo(line)
    worst = found.worst
    held = worst is not None and worst <= DEVIATION_MAX
    said = "nothing to compare" if worst is None else f"{share_text(worst)} of the devices at most"
    typer.echo(
        f"{'verified' if held else 'apart':<9}{said}, {share_text(DEVIATION_MAX)} allowed, in {scenario.name}"
    )
    return EXIT_DONE if held else EXIT_APART


def deviation_lines(found: Deviation) -> list[str]:
    """The steps that are furthest apart, as a small table."""
    from devicesdk.wire.timebase import MINUTE

    lines = [f"{'minute':>6} {'recorded':>10} {'replayed':>10} {'apart':>8}"]
    for step in sorted(found.greatest(WORST_SHOWN)):
        apart = found.apart[step] or 0.0
        lines.append(
            f"{step * found.step_ns // MINUTE:>6} {found.recorded[step]:>10.1f} {found.found[step]:>10.1f} "
            f"{100 * apart:>6.2f} %"
        )
    return lines


def capture(
    *,
    broker: Broker,
    out: OutFile = Path("presence.csv"),
    lasts: Lasts = "10m",
    root: Root = "fd/main",
    source: Source = "auto",
    certificates: Certificates = None,
) -> None:
    """Record who is connected to a live broker, and for how long: the same as `import` makes of a log."""
    raise typer.Exit(
        guarded(lambda: _capture(_Capture(broker, out, lasts, root, source, certificates)))
    )


class _Capture(NamedTuple):
    """What a capture was asked for."""

    broker: str
    out: Path
    lasts: str
    root: str
    source: str
    certificates: Path | None


def _capture(wish: _Capture) -> int:
    import asyncio

    from devicesdk.wire.timebase import SECOND, parse_duration
    from devicesim.recordings.capture import SOURCES, Capture, run_capture
    from devicesim.recordings.drafting import chosen
    from devicesim.recordings.native import write_recording
    from gateway.adapters.brokers.acl import RECORDER
    from gateway.adapters.brokers.find import endpoint_as

    if wish.source not in SOURCES:
        raise ValueError(f"expected --source {', '.join(SOURCES)}, found {wish.source!r}")
    endpoint = endpoint_as(RECORDER, wish.broker, wish.certificates)
    session = Capture(root=wish.root, source=wish.source)
    where = f"{endpoint.host}:{endpoint.port}"
    ready = f"recording {where} for {wish.lasts}; Ctrl-C ends it and keeps what is there"
    seconds = parse_duration(wish.lasts) / SECOND
    end = asyncio.run(run_capture(session, endpoint, seconds, _say, ready))
    recording = session.finish(where, end)
    recording, _ = chosen(recording)
    write_recording(recording, wish.out)
    for key, value in session.facts(recording).items():
        typer.echo(f"{key:<9}{value}")
    typer.echo(f"{'wrote':<9}{wish.out}")
    typer.echo(f"{'next':<9}fleetdrill import {wish.out}")
    return EXIT_DONE


def _say(text: str) -> None:
    typer.echo(text, err=True)
