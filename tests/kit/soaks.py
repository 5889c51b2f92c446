"""Records of soaks for the reports' tests: one that held, one in which everything went wrong."""

from __future__ import annotations

import msgspec

from devicesim.report.record import Band, CheckRow, Venue
from devicesim.report.soak_record import (
    METRICS,
    AbortRow,
    Held,
    LeakRow,
    MessageRow,
    Quantiles,
    SoakRecord,
    WindowRow,
)

NASTY = "<script>alert(1)</script>&\x07"


def message(kind: str, way: str, **changes: object) -> MessageRow:
    base = MessageRow(
        kind=kind, way="up" if way == "up" else "down", said=100, once=100, waiting=0,
        unexplained=0, causes={}, again=0, nowhere=0,
    )  # fmt: skip
    return msgspec.structs.replace(base, **changes)


def window(place: int) -> WindowRow:
    took = Quantiles(50, 0.01, 0.02, 0.05 * (place + 1), 0.4)
    return WindowRow(
        start_s=10.0 * place, end_s=10.0 * (place + 1), said=1000, heard=990, again=place, lost=1,
        waiting=10, unexplained=0, online=50, online_min=50 - place, restarts=int(place == 2),
        latencies=dict.fromkeys(METRICS, took), held=Held(200.0, 300, 9, 9.5, 60, 0.2),
    )  # fmt: skip


def calm() -> SoakRecord:
    """Six windows, one restart of the broker, nothing wrong."""
    return SoakRecord(
        scenario="soak", title="A calm soak", seed=11, verdict="passed", ending="complete",
        story="Ran to its end.", began="2024-05-06T08:00:00Z", devices=50, asked_s=60.0,
        lasted_s=60.0, window_s=10.0, restart_every_s=25.0, restarts=1, beat_s=30.0,
        windows=[window(place) for place in range(6)],
        messages=[message("tel", "up", again=4), message("want", "down"), message("kill", "down")],
        stories=[], latencies=dict.fromkeys(METRICS, Quantiles(300, 0.01, 0.02, 0.3, 0.4)),
        leaks=[LeakRow(what="memory", unit="MiB", allowed="5 MB/h", held=True, story="flat"),
               LeakRow(what="tasks", unit="", allowed="0 gained", held=None, story="not judged")],
        aborts=[AbortRow("loss > 0", True, "found 0")],
        checks=[CheckRow("no_reflash", "always", True, "fine"),
                CheckRow("one_session", "always", None, "cannot be seen")],
        bands=[Band(25.0, 27.0, "restart-1", "broker.restart")], skipped=[],
        venue=Venue(mode="real", broker="mosquitto 2.0.11"), memory_mib=210.0, cpu_s=4.0,
        reproduce="fleetdrill soak scenarios/soak.yaml --for 1m", machine={"cpu": "x"},
    )  # fmt: skip


def troubled() -> SoakRecord:
    """The same with a lost message, one from nowhere, a leak, a failed check; and hostile text."""
    causes = {"replaced": 2, "qos 0": 1}
    return msgspec.structs.replace(
        calm(), title=NASTY, verdict="failed", ending="aborted", story=f"Ended early: {NASTY}",
        messages=[
            message("tel", "up", once=96, unexplained=1, causes=causes),
            message("have", "up", nowhere=1),
        ],
        stories=["tel (1, 12) of kiosk-0007: said +1.000 s; never heard it"],
        leaks=[LeakRow(what="memory", unit="MiB", allowed="5 MB/h", held=False, story="grows")],
        aborts=[AbortRow("loss > 0", False, "found 2")],
        checks=[CheckRow("bounded_retry", "always", False, NASTY)],
        skipped=["broker.restart: not ours"],
    )  # fmt: skip


def empty() -> SoakRecord:
    """One that ended before anything happened."""
    return msgspec.structs.replace(
        calm(), windows=[], messages=[], latencies={}, leaks=[], aborts=[], checks=[], bands=[],
        lasted_s=0.0, restarts=0, restart_every_s=None, beat_s=None,
    )  # fmt: skip
