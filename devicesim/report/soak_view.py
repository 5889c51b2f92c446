"""What the page of a soak is given: numbers beside their spelling, charts beside their tables.

Decides order, emphasis and which curves there are. Leaves out markup (assets/soak.html.j2) and how a chart
is drawn (soak_charts.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from devicesim.report.figures import (
    DASH,
    THIN,
    compact,
    count,
    duration,
    known,
    number,
    plural,
)
from devicesim.report.palette import BLUE, GREEN, GREY, ORANGE, PURPLE, VERMILLION
from devicesim.report.record import failed_first
from devicesim.report.soak_charts import Chart, Line, draw
from devicesim.report.soak_record import METRICS, MessageRow, Quantiles, SoakRecord, WindowRow
from devicesim.report.view import Number, whole
from devicesim.report.wording import spaced, tally, venue_line

WINDOWS_SHOWN_MAX: Final = 2_000
KIND_WORDS: Final = {
    "tel": "telemetry window",
    "ev": "event",
    "have": "reported state",
    "link": "presence",
    "get": "chunk request",
    "ask": "frames to be read elsewhere",
    "timestamp": "state of the roles",
    "want": "desired state",
    "kill": "kill list",
    "flags": "flag snapshot",
    "ctl": "verb",
    "dat": "chunk",
}
CAUSE_WORDS: Final = {
    "qos 0": "sent with QoS 0, which promises nothing",
    "replaced": "a newer state stands in its place",
    "asked again": "asked again under another number",
    "expired": "its expiry interval passed while the receiver was away",
    "broker forgot": "the broker was killed without its memory",
    "unsaved": "the broker was killed when it had acknowledged this, and may not have saved it",
    "power off": "the device went off with it in RAM",
    "outbox full": "the oldest of a full outbox, counted by the agent",
}


def context(record: SoakRecord) -> dict[str, Any]:
    """Make everything the template needs."""
    counts = tally(record.checks)
    ordered = failed_first(record.checks)
    return {
        "record": record,
        "passed": record.verdict == "passed",
        "verdict": verdict_line(record),
        "detail": detail(record),
        "headline": headline(record),
        "rows": [_message(row) for row in record.messages],
        "sums": _sums(record.messages),
        "causes": _causes(record),
        "flow": _flow(record),
        "latencies": [_latency(record, name, title) for name, title in METRICS.items()],
        "leaks": [
            {"row": row, "outcome": {True: "held", False: "failed", None: "open"}[row.held]}
            for row in record.leaks
        ],
        "processes": _processes(record),
        "aborts": record.aborts,
        "checks": {
            "total": counts,
            "failed": [_check(row) for row in ordered if row.held is False],
            "held": [_check(row) for row in ordered if row.held is True],
            "open": [_check(row) for row in ordered if row.held is None],
        },
        "windows": [_window(row) for row in record.windows[-WINDOWS_SHOWN_MAX:]],
        "window_text": duration(record.window_s),
        "venue": venue_line(record.venue),
        "facts": [("Soak", _facts(record)), ("Machine", record.machine),
                  ("Versions", record.versions)],
    }  # fmt: skip


def verdict_line(record: SoakRecord) -> str:
    """Say in one line how it went."""
    unexplained = record.unexplained
    if record.ending == "paused":
        return f"Paused after {duration(record.lasted_s)}."
    if unexplained:
        return f"Failed: {plural(unexplained, 'message')} without an explanation."
    if record.verdict == "failed":
        return "Failed, though every message is accounted for."
    return f"Held for {duration(record.lasted_s)}: every message is accounted for."


def detail(record: SoakRecord) -> str:
    """Say what was done."""
    times = plural(record.restarts, "time")
    killed = f"the broker was killed {times}" if record.restarts else "the broker was left alone"
    return (
        f"{plural(record.devices, 'device')} on {record.venue.broker or 'a broker'}, "
        f"{compact(record.said)} messages both ways; {killed}."
    )


def headline(record: SoakRecord) -> list[dict[str, Any]]:
    """The numbers that a reader wants first."""
    again = sum(row.again for row in record.messages)
    waiting = sum(row.waiting for row in record.messages)
    telemetry = record.latencies.get("telemetry", Quantiles())
    kill = record.latencies.get("kill", Quantiles())
    rate = record.said / record.lasted_s if record.lasted_s else 0.0
    rows: list[tuple[str, str, float | None, str, str]] = [
        ("unexplained", "Unexplained", record.unexplained, count(record.unexplained),
         "of all messages, by name"),
        ("said", "Messages", record.said, compact(record.said), f"{number(rate)} a second"),
        ("lost", "Lost with a cause", record.lost, count(record.lost),
         f"{count(waiting)} waiting at the end"),
        ("again", "Delivered again", again, count(again), "QoS 1 allows it"),
        ("telemetry_p99", "Telemetry, p99", telemetry.p99_s, duration(telemetry.p99_s),
         f"median {duration(telemetry.p50_s)}"),
        ("kill_p99", "Kill obeyed, p99", kill.p99_s, duration(kill.p99_s),
         f"median {duration(kill.p50_s)}"),
        ("restarts", "Broker restarts", record.restarts, count(record.restarts),
         f"one each {duration(record.restart_every_s)}" if record.restart_every_s else "none asked"),
        ("memory_mib", "Memory", record.memory_mib, f"{number(record.memory_mib)}{THIN}MiB",
         f"at its peak, {plural(record.devices, 'device')}"),
    ]  # fmt: skip
    return [
        {"key": key, "label": label, "number": Number(raw, text), "note": note,
         "bad": key == "unexplained" and bool(raw)}
        for key, label, raw, text, note in rows
    ]  # fmt: skip


# -- messages -----------------------------------------------------------------------------------


def _message(row: MessageRow) -> dict[str, Any]:
    lost = sum(row.causes.values())
    unexplained = row.unexplained + row.nowhere
    total = max(1, row.said)
    return {
        "row": row,
        "word": KIND_WORDS.get(row.kind, row.kind),
        "arrow": "\N{UPWARDS ARROW}" if row.way == "up" else "\N{DOWNWARDS ARROW}",
        "numbers": [whole(n) for n in (row.said, row.once, row.again, row.waiting, lost)],
        "unexplained": whole(unexplained),
        "balanced": row.said == row.once + row.waiting + lost + row.unexplained,
        "parts": [100 * part / total for part in (row.once, row.waiting, lost, row.unexplained)],
        "hint": "; ".join(f"{count(n)} {cause}" for cause, n in row.causes.items()),
    }


def _sums(rows: list[MessageRow]) -> dict[str, Any]:
    lost = sum(sum(row.causes.values()) for row in rows)
    numbers = [
        sum(getattr(row, name) for row in rows) for name in ("said", "once", "again", "waiting")
    ]
    unexplained = sum(row.unexplained + row.nowhere for row in rows)
    return {
        "numbers": [whole(n) for n in [*numbers, lost]],
        "unexplained": whole(unexplained),
        "wills": sum(row.wills for row in rows),
        "repeated": sum(row.repeated for row in rows),
    }


def _causes(record: SoakRecord) -> list[dict[str, Any]]:
    sums: dict[str, int] = {}
    for row in record.messages:
        for cause, n in row.causes.items():
            sums[cause] = sums.get(cause, 0) + n
    top = max([*sums.values(), 1])
    return [
        {"name": cause, "count": whole(n), "length": 100 * n / top,
         "means": CAUSE_WORDS.get(cause, "")}
        for cause, n in sorted(sums.items(), key=lambda item: (-item[1], item[0]))
    ]  # fmt: skip


def _flow(record: SoakRecord) -> list[Chart]:
    def rate(take: Callable[[WindowRow], int]) -> list[tuple[float, float | None]]:
        return [(w.end_s, take(w) / max(1e-9, w.end_s - w.start_s)) for w in record.windows]

    def level(take: Callable[[WindowRow], int]) -> list[tuple[float, float | None]]:
        return [(w.end_s, float(take(w))) for w in record.windows]

    def per_s(value: float) -> str:
        return f"{compact(value)}/s"

    return _kept(
        _chart(record, "Messages", [
            Line("said", BLUE, rate(lambda w: w.said), area=True),
            Line("heard", GREEN, rate(lambda w: w.heard)),
        ], per_s),
        _chart(record, "Waiting", [Line("waiting", ORANGE, level(lambda w: w.waiting), area=True)],
               compact),
        _chart(record, "Delivered again, lost, unexplained", [
            Line("again", PURPLE, level(lambda w: w.again)),
            Line("lost with a cause", GREY, level(lambda w: w.lost)),
            Line("unexplained", VERMILLION, level(lambda w: w.unexplained)),
        ], compact),
        _chart(record, "Online", [
            Line("at the end", BLUE, level(lambda w: w.online), area=True),
            Line("least", GREY, level(lambda w: w.online_min)),
        ], compact),
    )  # fmt: skip


def _chart(
    record: SoakRecord,
    title: str,
    lines: list[Line],
    spell: Callable[[float], str],
    *,
    from_zero: bool = True,
    may_log: bool = False,
) -> Chart | None:
    return draw(
        title, lines, record.lasted_s, spell, bands=record.bands, from_zero=from_zero,
        may_log=may_log, whole=spell is compact,
    )  # fmt: skip


def _kept(*charts: Chart | None) -> list[Chart]:
    return [chart for chart in charts if chart is not None]


# -- latencies ----------------------------------------------------------------------------------


def _latency(record: SoakRecord, name: str, title: str) -> dict[str, Any]:
    whole_run = record.latencies.get(name, Quantiles())

    def curve(which: str) -> list[tuple[float, float | None]]:
        return [
            (w.end_s, getattr(w.latencies.get(name, Quantiles()), which)) for w in record.windows
        ]

    lines = [
        Line("max", GREY, curve("max_s")),
        Line("p99", VERMILLION, curve("p99_s")),
        Line("p50", BLUE, curve("p50_s"), area=True),
    ]
    values = (whole_run.p50_s, whole_run.p90_s, whole_run.p99_s, whole_run.max_s)
    return {
        "title": title,
        "n": whole(whole_run.n),
        "numbers": [Number(value, duration(value)) for value in values],
        "chart": _chart(record, title, lines, duration, may_log=True),
    }


# -- processes ----------------------------------------------------------------------------------


def _processes(record: SoakRecord) -> list[Chart]:
    def curve(name: str) -> list[tuple[float, float | None]]:
        return [(w.end_s, _float(getattr(w.held, name))) for w in record.windows]

    def mib(value: float) -> str:
        return f"{number(value)}{THIN}MiB"

    def per_cent(value: float) -> str:
        return f"{number(100 * value)}{THIN}%"

    return _kept(
        _chart(record, "Memory", [Line("simulator", BLUE, curve("rss_mib"))], mib,
               from_zero=False),
        _chart(record, "Memory of the broker", [Line("broker", PURPLE, curve("broker_rss_mib"))],
               mib, from_zero=False),
        _chart(record, "File descriptors", [
            Line("simulator", BLUE, curve("fds")), Line("broker", PURPLE, curve("broker_fds")),
        ], compact),
        _chart(record, "Tasks", [Line("tasks", GREEN, curve("tasks"))], compact),
        _chart(record, "Processor", [
            Line("of one core", ORANGE, curve("cpu_share"), area=True)], per_cent),
        _chart(record, "Behind real time", [
            Line("at worst", GREY, [(w.end_s, w.lag_s) for w in record.windows])], duration),
    )  # fmt: skip


def _float(value: float | None) -> float | None:
    return None if value is None else float(value)


# -- the rest -----------------------------------------------------------------------------------


def _check(row: Any) -> dict[str, Any]:
    return {"title": spaced(row.name), "kind": row.kind, "story": row.story}


def _window(row: WindowRow) -> dict[str, Any]:
    telemetry, kill, back = (
        row.latencies.get(name, Quantiles()) for name in ("telemetry", "kill", "reconnect")
    )
    held = row.held
    rss = f"{number(held.rss_mib)}" if known(held.rss_mib) else DASH
    return {
        "at": f"+{duration(round(row.start_s))}",
        "cells": [
            count(row.said), count(row.heard), count(row.again), count(row.waiting),
            count(row.unexplained), f"{count(row.online_min)} / {count(row.online)}",
            duration(telemetry.p50_s), duration(telemetry.p99_s), duration(kill.p99_s),
            duration(back.p99_s), rss, DASH if held.fds is None else count(held.fds),
            DASH if held.tasks is None else count(held.tasks),
        ],
        "bad": bool(row.unexplained),
        "restarted": bool(row.restarts),
    }  # fmt: skip


def _facts(record: SoakRecord) -> dict[str, str]:
    found = {
        "began": record.began,
        "lasted": f"{duration(record.lasted_s)} of {duration(record.asked_s)}",
        "ended": record.ending,
        "parts": count(record.parts) if record.parts > 1 else "",
        "seed": str(record.seed),
        "where": venue_line(record.venue),
        "kill and flag each": duration(record.beat_s) if record.beat_s else "",
        "processor time": duration(record.cpu_s),
    }
    return {name: text for name, text in found.items() if text}
