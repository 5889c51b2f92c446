"""Flags and kills over a real broker: from the operator's command to the last of 5,000 connected devices.

    python -m bench.flips [CREWS]

Gateway, broker and fleet are processes apart, as in the field. Each device is the real agent on its own
MQTT connection, and the devices are shared among crews, a process each (see live/flip_load.py); the
gateway is the real runtime with SQLite; the broker is mosquitto, set up as for `fleetdrill run`. Beside
it, in the same run on the same broker: a bare broadcast of as many bytes to as many connections in as
many processes, which do nothing but receive.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import msgspec

from bench.live.drivers import Load, load_average, raise_descriptor_limit
from gateway.adapters.brokers.find import open_broker

DEVICES: Final = 5_000
FLIPS: Final = 100
CREWS: Final = 2
LOAD: Final = [sys.executable, "-m", "bench.live.flip_load"]
KINDS: Final = ("flag", "kill")
"""In the order in which live/flip_load.py commands them, by turns."""
P50_S_MAX: Final = 0.5
P99_S_MAX: Final = 2.0
BARE_PAUSE_S: Final = 0.1
"""For the acknowledgements of the broadcast before."""


class Row(msgspec.Struct):
    """What was measured of one kind."""

    took_s: list[float] = []
    """Of each, until the last device."""
    cpu_s: float = 0.0
    """Of all crews and for all of them, answers included."""

    def share(self, share: float) -> float:
        """A percentile, s."""
        return sorted(self.took_s)[min(len(self.took_s) - 1, int(share * len(self.took_s)))]


def command_all(port: int, crews: int) -> dict[str, Row]:
    """Command each flip when the one before has been obeyed and the answers are in."""
    rows = {kind: Row() for kind in KINDS}
    with ExitStack() as stack:
        begun = time.perf_counter()
        gateway = stack.enter_context(Load(LOAD, "command", port, DEVICES))
        gateway.hear("ready")
        fleet = _fleet(stack, "obey", port, crews)
        print(f"{DEVICES:,} agents online after {time.perf_counter() - begun:.1f} s")
        for place in range(FLIPS):
            for kind, row in rows.items():
                _time(gateway, fleet, row, "quiet")
                show(f"{kind} {place + 1} of {FLIPS}: {row.took_s[-1] * 1000:.0f} ms")
    return rows


def broadcast_all(port: int, crews: int) -> Row:
    """The same with bare receivers."""
    row = Row()
    with ExitStack() as stack:
        fleet = _fleet(stack, "hear", port, crews)
        speaker = stack.enter_context(Load(LOAD, "speak", port))
        speaker.hear("ready")
        for _ in range(FLIPS):
            _time(speaker, fleet, row)
            time.sleep(BARE_PAUSE_S)
    return row


def _fleet(stack: ExitStack, mode: str, port: int, crews: int) -> list[Load]:
    fleet = [
        stack.enter_context(Load(LOAD, mode, port, DEVICES, part, crews)) for part in range(crews)
    ]
    for crew in fleet:
        crew.hear("ready")
    return fleet


def _time(speaker: Load, fleet: Sequence[Load], row: Row, end: str | None = None) -> None:
    before = sum(crew.cpu_s() for crew in fleet)
    speaker.go()
    (told,) = speaker.hear("told")
    row.took_s.append(max(crew.hear("last")[0] for crew in fleet) - told)
    if end is not None:
        speaker.hear(end)
    row.cpu_s += sum(crew.cpu_s() for crew in fleet) - before


def show(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r{text:<60}", end="", file=sys.stderr, flush=True)


def table(bare: Row, rows: dict[str, Row], crews: int) -> None:
    print(
        f"\ncommand to the last of {DEVICES:,} devices in {crews} processes, {FLIPS} times"
        f"   (load {load_average()})"
    )
    print(f"  {'':32}{'p50 ms':>8}{'p99 ms':>8}{'x bare':>8}{'CPU us a device':>17}")
    base = bare.share(0.5)
    for name, row in ("bare broadcast, lean receivers", bare), *rows.items():
        p50, p99, each = row.share(0.5), row.share(0.99), row.cpu_s / FLIPS / DEVICES
        print(
            f"  {name:32}{p50 * 1e3:8.0f}{p99 * 1e3:8.0f}{p50 / base:8.1f}{each * 1e6:17.0f}"
            + ("" if row is bare else f"   {_verdict(p50, p99)}")
        )


def _verdict(p50_s: float, p99_s: float) -> str:
    held = p50_s < P50_S_MAX and p99_s < P99_S_MAX
    return f"bar {P50_S_MAX * 1e3:.0f} and {P99_S_MAX * 1e3:.0f}: {'held' if held else 'MISSED'}"


async def run(crews: int) -> None:
    """On a broker of its own."""
    with tempfile.TemporaryDirectory() as folder:
        running = await open_broker("mosquitto", Path(folder) / "broker")
        try:
            port = running.endpoint.port
            rows = await asyncio.to_thread(command_all, port, crews)
            bare = await asyncio.to_thread(broadcast_all, port, crews)
        finally:
            await running.stop()
    table(bare, rows, crews)


def report(crews: int = CREWS) -> None:
    """Print the table."""
    raise_descriptor_limit()
    asyncio.run(run(crews))


if __name__ == "__main__":
    report(*map(int, sys.argv[1:2]))
