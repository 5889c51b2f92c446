"""The command ``fleetdrill soak``.

Decides options, signals and exit codes, and writes the files of the run. Leaves out the soak (run.py) and
what its reports say (`devicesim.report.soak`).

Signals: the first Ctrl-C pauses (``--resume`` goes on); the second ends at once, and with it the broker if
it is ours; nothing is kept then but what was kept before.

Exit codes: 0 everything held; 1 something did not; 2 an argument or the scenario is invalid; 3 the soak
did not come to its end: paused, or a bug of ours.
"""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from devicesim.guarded import EXIT_BROKEN, EXIT_FAILED, EXIT_HELD, guarded

if TYPE_CHECKING:
    from devicesim.live.soak.plan import Plan
    from devicesim.live.soak.run import SoakRun, Stop
    from devicesim.report.soak_record import SoakRecord, WindowRow

EXIT_KILLED: Final = 130
RUNS: Final = Path("runs")
FOR_DEFAULT: Final = "30m"


ScenarioFile = Annotated[
    Path | None,
    typer.Argument(help="Scenario file (YAML), such as scenarios/soak.yaml.", show_default=False),
]
Broker = Annotated[
    str,
    typer.Option(
        help="auto (mosquitto on the path, else the embedded one), mosquitto, embedded, or "
        "mqtt://host:port."
    ),
]
Devices = Annotated[
    int | None, typer.Option(min=1, help="How many devices; the scenario's own by default.")
]
Lasts = Annotated[str, typer.Option("--for", help="How long, real time, such as 30m.")]
Speed = Annotated[float, typer.Option(min=0.001, help="Scenario seconds per real one.")]
Window = Annotated[
    str | None,
    typer.Option(help="Length of a window; the scenario's, or 10s below ten minutes, else 60s."),
]
RestartEvery = Annotated[
    str | None,
    typer.Option("--restart-broker-every", help="Kill the broker (-9) each so long, such as 5m."),
]
RestartFor = Annotated[
    str, typer.Option("--restart-for", help="How long a killed broker stays away.")
]
LoseSessions = Annotated[
    bool, typer.Option("--lose-sessions", help="A restart loses sessions and retained messages.")
]
Persistence = Annotated[
    bool, typer.Option(help="Whether a broker of ours keeps its state on the disk.")
]
Autosave = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="A mosquitto of ours saves after so many changes; at 1 a kill loses nothing. By time by default.",
    ),
]
Direct = Annotated[
    bool, typer.Option("--direct", help="Devices dial the broker itself: no links, no proxy.")
]
Beat = Annotated[str, typer.Option(help="Flip a kill and a flag each so long; 0s for never.")]
MetricsPort = Annotated[
    int, typer.Option(help="Prometheus metrics on loopback: 0 for a free port, -1 for none.")
]
Seed = Annotated[int | None, typer.Option(help="Master seed; the scenario's own by default.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Override a value; repeatable."),
]
Out = Annotated[Path, typer.Option(help="Folder for the files of the run.")]
Resume = Annotated[
    Path | None,
    typer.Option(metavar="RUN", help="Go on with a paused soak; all else is as it was."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(soak)


def soak(
    scenario: ScenarioFile = None,
    *,
    broker: Broker = "auto",
    devices: Devices = None,
    lasts: Lasts = FOR_DEFAULT,
    speed: Speed = 1.0,
    window: Window = None,
    restart_every: RestartEvery = None,
    restart_for: RestartFor = "2s",
    lose_sessions: LoseSessions = False,
    persistence: Persistence = True,
    autosave: Autosave = None,
    direct: Direct = False,
    beat: Beat = "30s",
    metrics_port: MetricsPort = 0,
    seed: Seed = None,
    overrides: Overrides = None,
    out: Out = RUNS,
    resume: Resume = None,
    as_json: AsJson = False,
) -> None:
    """Run a fleet against a real broker for a long time and account for every message."""
    said = {
        "broker": broker, "devices": devices, "lasts": lasts, "speed": speed, "window": window,
        "restart_every": restart_every, "restart_for": restart_for, "lose_sessions": lose_sessions,
        "persistence": persistence, "autosave": autosave, "direct": direct, "beat": beat, "metrics_port": metrics_port,
        "seed": seed, "overrides": tuple(overrides or ()),
    }  # fmt: skip
    from gateway.adapters.brokers.process import BrokerError

    def work() -> int:
        return _soak(scenario, said, out, resume, as_json=as_json)

    raise typer.Exit(guarded(work, "soak", (BrokerError,)))


def _plan(file: Path | None, said: dict[str, Any]) -> Plan:
    from devicesdk.wire.timebase import parse_duration
    from devicesim.live.soak.plan import Plan

    if file is None:
        raise ValueError("expected a scenario file, or --resume RUN, found neither")

    def ns(name: str) -> int | None:
        text = said[name]
        return None if text is None else parse_duration(text)

    lasts_ns, down_ns, beat_ns = ns("lasts"), ns("restart_for"), ns("beat")
    assert lasts_ns is not None
    if lasts_ns <= 0:
        raise ValueError(f"expected --for of more than nothing, found {said['lasts']}")
    return Plan(
        file=str(file), for_ns=lasts_ns, broker=said["broker"], devices=said["devices"],
        speed=said["speed"], seed=said["seed"], window_ns=ns("window"),
        restart_every_ns=ns("restart_every"), restart_down_ns=down_ns or 0,
        lose_sessions=said["lose_sessions"], persistence=said["persistence"],
        autosave_changes=said["autosave"],
        direct=said["direct"], beat_ns=beat_ns or 0, metrics_port=said["metrics_port"],
        overrides=said["overrides"],
    )  # fmt: skip


def _soak(
    file: Path | None, said: dict[str, Any], out: Path, resume: Path | None, *, as_json: bool
) -> int:
    import msgspec

    from devicesim.live.soak import plan as plans
    from devicesim.live.soak import state as states
    from devicesim.live.soak.run import SoakRun, Stop
    from devicesim.report.soak import SoakScreen, summary
    from devicesim.rundir import new_folder

    if resume is not None and file is not None:
        raise ValueError("expected a scenario file or --resume RUN, found both")
    plan = plans.load(resume) if resume is not None else _plan(file, said)
    earlier = states.load(resume) if resume is not None else None
    if resume is None:
        plans.scenario_of(plan)  # refuse what is wrong before a folder is made
    folder = resume or new_folder(out, f"soak-{Path(plan.file).stem}")
    plans.save(folder, plan)
    _log_to(folder / "soak.log")
    with SoakScreen(plan.for_ns / 1e9, perf_counter) as screen:
        stop = Stop()
        run = SoakRun(plan, folder, stop=stop, show=_Show(screen), earlier=earlier)
        record = _run(run, stop)
    write(folder, record)
    if earlier is not None and record.ending != "paused":
        (folder / states.FILE).unlink()
    if as_json:
        typer.echo(msgspec.json.encode(record).decode())
    else:
        summary(record, report=str(folder / "soak.html"))
    if record.ending == "paused":
        return EXIT_BROKEN
    return EXIT_HELD if record.verdict == "passed" else EXIT_FAILED


def _log_to(file: Path) -> None:
    """Everything that is logged goes to a file: standard error shows the soak."""
    import logging

    from gateway.runtime.logs import KeyValueFormatter

    handler = logging.FileHandler(file)
    handler.setFormatter(KeyValueFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)


class _Show:
    """Passes on what a screen shows."""

    def __init__(self, screen: Any) -> None:
        self._screen = screen

    def began(self, devices: int, broker: str, metrics: str | None) -> None:
        """Everything is open."""
        self._screen.began(devices, broker, metrics)

    def ticked(self, elapsed_s: float, online: int, devices: int, unexplained: int) -> None:
        """Time passes."""
        self._screen.progress(elapsed_s, online, devices, unexplained)

    def closed(self, row: WindowRow) -> None:
        """A window has ended."""
        self._screen.closed(row)


def _run(run: SoakRun, stop: Stop) -> SoakRecord:
    """Run it with Ctrl-C in our hands."""
    import uvloop

    async def main() -> SoakRecord:
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, lambda: interrupted(stop))
        return await run.run()

    return uvloop.run(main())


def interrupted(stop: Stop, leave: Any = os._exit) -> None:
    """Ctrl-C: the first pauses, the second ends everything at once."""
    if not stop.asked:
        stop.asked = True
        typer.echo("fleetdrill: pausing; press Ctrl-C again to end at once", err=True)
        return
    stop.at_once()
    leave(EXIT_KILLED)


def write(folder: Path, record: SoakRecord) -> None:
    """Write the files of a run: ``soak.json``, ``soak.html``, ``junit.xml``."""
    import msgspec

    from devicesim.report import soak as reports

    (folder / "soak.json").write_bytes(msgspec.json.encode(record))
    (folder / "soak.html").write_text(reports.render(record), "utf-8")
    (folder / "junit.xml").write_text(reports.to_xml(record), "utf-8")
