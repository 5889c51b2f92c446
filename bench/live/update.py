"""The real gateway and real agents: goodput of an update, and connections with an agent behind each.

Decides what is measured: from the first request for anything until the last of 200 devices has the last
chunk of 1 MiB, every chunk hashed by its device; beside it the C load program's one publisher to 200
connections, which only count. Leaves out the processes (agents.py) and the bundle (bundle.py).

Rules: each transfer has a broker of its own, because wants are retained; every frame is accounted for.
The devices are in one process, and once more in as many as there are cores: 200 devices bring 200
processors, and one process has one interpreter for all. Both are held against the bar. CPU seconds are
printed beside the rates: a machine that is busy otherwise distorts seconds more than those.
"""

from __future__ import annotations

import os
import statistics
import sys
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

import msgspec

from bench.live.bundle import CHUNKS, IMAGE_BYTES
from bench.live.drivers import Load, load_average, mosquitto, transfer

AGENTS = [sys.executable, "-m", "bench.live.agents"]
DEVICES = 200
CREWS = min(DEVICES, len(os.sched_getaffinity(0)))
"""Processes that share the devices among them."""
CHUNK_BYTES = IMAGE_BYTES // CHUNKS
FRAMES = DEVICES * (CHUNKS + 2)
"""Manifest and hash list are a chunk each."""
ROUNDS = 7
GOODPUT_RATIO_MIN = 0.5


class Run(msgspec.Struct, frozen=True):
    """One transfer."""

    took_s: float
    again: float = 0.0
    """Frames that came twice."""
    gateway_s: float = 0.0
    """CPU of the gateway's process."""
    agents_s: float = 0.0


def apart(port: int, crews: int) -> Run:
    """The gateway in a process, the devices in others."""
    with ExitStack() as stack:
        gateway = stack.enter_context(Load(AGENTS, "serve", port, DEVICES))
        crew = [
            stack.enter_context(Load(AGENTS, "take", port, DEVICES, part, crews))
            for part in range(crews)
        ]
        for each in (gateway, *crew):
            each.hear("ready")
        spent = gateway.cpu_s()
        gateway.go()
        begun, ended, frames, again, agents_s = zip(
            *(each.hear("done") for each in crew), strict=True
        )
        run = Run(max(ended) - min(begun), sum(again), gateway.cpu_s() - spent, sum(agents_s))
        _account(sum(frames), run.again)
        for each in crew:
            each.hear("runs")
        gateway.go()
        sent, dropped = gateway.hear("sent")
    assert sent == sum(frames), f"expected {sent} frames of the gateway to arrive, found {frames}"
    assert not dropped, f"expected no round to be dropped, found {dropped}"
    return run


def together(port: int) -> Run:
    """Both in one process."""
    with Load(AGENTS, "both", port, DEVICES) as crew:
        crew.hear("ready")
        crew.go()
        begun, ended, frames, again, spent = crew.hear("done")
        _account(frames, again)
        crew.hear("runs")
    return Run(ended - begun, again, 0.0, spent)


def _account(frames: float, again: float) -> None:
    """A device is done when each chunk was hashed and taken, so what is more was dropped."""
    assert frames == FRAMES + again, f"expected {FRAMES} frames and {again} again, found {frames}"


def goodput(native: list[str] | None) -> None:
    """The table of the update."""
    print(f"update, {CHUNKS} x {CHUNK_BYTES} bytes to each of {DEVICES} real agents, all hashed")
    kinds: dict[str, Callable[[int], Run]] = {
        _crewed(CREWS): partial(apart, crews=CREWS),
        _crewed(1): partial(apart, crews=1),
        "all in one": together,
    }
    if native:
        kinds["C"] = lambda port: Run(transfer(port, native, DEVICES, CHUNKS, CHUNK_BYTES))
    runs: dict[str, list[Run]] = {name: [] for name in kinds}
    for _ in range(ROUNDS):
        for name, run in kinds.items():
            with mosquitto() as port:
                runs[name].append(run(port))
    print(f"  {'':12}{'MB/s':>6}{'again':>7}{'gateway CPU us':>16}{'agents CPU us a chunk':>23}")
    rates = {name: _row(name, each) for name, each in runs.items()}
    if native:
        for crews in sorted({1, CREWS}):
            ratio = rates[_crewed(crews)] / rates["C"]
            verdict = "reached" if ratio >= GOODPUT_RATIO_MIN else "missed"
            print(
                f"  {_crewed(crews)} / C {ratio:6.2f}   (bar {GOODPUT_RATIO_MIN} {verdict}, load {load_average()})"
            )


def _crewed(crews: int) -> str:
    return f"{crews} crew" + "s" * (crews > 1)


def _row(name: str, runs: list[Run]) -> float:
    rate = DEVICES * IMAGE_BYTES / statistics.median(run.took_s for run in runs) / 1e6
    again = max(run.again for run in runs)
    us = 1e6 / (DEVICES * CHUNKS)
    gateway = statistics.median(run.gateway_s for run in runs) * us
    agents = statistics.median(run.agents_s for run in runs) * us
    print(f"  {name:12}{rate:6.0f}{again:7.0f}{_measured(gateway):>16}{_measured(agents):>23}")
    return rate


def _measured(us: float) -> str:
    return f"{us:.1f}" if us else "-"


def connections(count: int) -> None:
    """The row of connections that have an agent behind them."""
    with mosquitto() as port:
        with Load(AGENTS, "dark", port, count) as crew:
            _, device_kb = crew.hear("ready")
        with Load(AGENTS, "idle", port, count) as crew:
            took, all_kb = crew.hear("ready")
            cpu_us = crew.cpu_s() / count * 1e6
            crew.go()
    print(
        f"  agents{all_kb / count:9.1f}{count / took:12,.0f}{cpu_us:13.0f}   ({device_kb / count:.1f} KB "
        f"the device with its agent, {(all_kb - device_kb) / count:.1f} KB its connection)"
    )
