"""The real gateway and real agents: goodput of an update, and connections with an agent behind each.

Decides what is measured: from the first request for anything until the last of 200 devices has the last
chunk of 1 MiB, every chunk hashed by its device; beside it the C load program's one publisher to 200
connections, which only count. Leaves out the processes (agents.py) and the bundle (bundle.py).

Rules: each transfer has a broker of its own, because wants are retained; every frame is accounted for.
200 devices bring 200 processors, here they share the machine's with the gateway and the broker: so they
are measured in one process, where a single interpreter works for all of them and is what is measured, and
in as many processes as there are cores, where it is the way from the gateway to them. CPU seconds are
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
CREWS = os.cpu_count() or 1
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
        spent = gateway.cpu_s(), sum(each.cpu_s() for each in crew)
        gateway.go()
        done = [each.hear("done") for each in crew]
        agents_s = sum(each.cpu_s() for each in crew) - spent[1]
        begun, ended = min(each[0] for each in done), max(each[1] for each in done)
        frames, again = sum(each[2] for each in done), sum(each[3] for each in done)
        run = Run(ended - begun, again, gateway.cpu_s() - spent[0], agents_s)
        _account(frames, again)
        for each in crew:
            each.hear("runs")
        gateway.go()
        sent, dropped = gateway.hear("sent")
    assert sent == frames, f"expected {sent} frames of the gateway to arrive, found {frames}"
    assert not dropped, f"expected no round to be dropped, found {dropped}"
    return run


def together(port: int) -> Run:
    """Both in one process."""
    with Load(AGENTS, "both", port, DEVICES) as crew:
        crew.hear("ready")
        before = crew.cpu_s()
        crew.go()
        begun, ended, frames, again = crew.hear("done")
        spent = crew.cpu_s() - before
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
        ratio = rates[_crewed(CREWS)] / rates["C"]
        verdict = "reached" if ratio >= GOODPUT_RATIO_MIN else "missed"
        print(
            f"  gateway / C {ratio:6.2f}   (bar {GOODPUT_RATIO_MIN} {verdict}; to one crew "
            f"{rates[_crewed(1)] / rates['C']:.2f}; load {load_average()})"
        )


def _crewed(crews: int) -> str:
    return f"{crews} crew" + "s" * (crews > 1)


def _row(name: str, runs: list[Run]) -> float:
    rate = DEVICES * IMAGE_BYTES / statistics.median(run.took_s for run in runs) / 1e6
    again = max(run.again for run in runs)
    us = 1e6 / (DEVICES * CHUNKS)
    gateway = statistics.median(run.gateway_s for run in runs) * us
    agents = statistics.median(run.agents_s for run in runs) * us
    print(f"  {name:12}{rate:6.0f}{again:7.0f}{gateway:16.1f}{agents:23.1f}")
    return rate


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
