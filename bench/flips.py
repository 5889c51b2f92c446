"""Flags and kills over a real broker: from the operator's command to the last of 5,000 connected devices.

    python -m bench.flips [CREWS]

Gateway, broker and fleet are processes apart on one machine. Each device is the real agent on its own
MQTT connection, with a will and a session that is kept, and the devices are shared among crews, a
process each (see live/flip_load.py); the gateway is the real runtime with SQLite; the broker is
mosquitto, set up as for `fleetdrill run`. A time begins when the command is handed to the gateway's
runtime, and ends when the last device has it in force. Every device evaluates the flag. Each command
waits until the whole fleet has reported the one before; when no more reports come, those that the
broker dropped are counted.

Before it, in the same run on the same broker: a bare broadcast of about as many bytes to as many
receivers in as many processes, which only acknowledge, and whose sessions are not kept.
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
from bench.live.flip_load import KIND_NAMES
from gateway.adapters.brokers.find import open_broker

DEVICES: Final = 5_000
FLIPS: Final = 100
CREWS: Final = 2
LOAD: Final = [sys.executable, "-m", "bench.live.flip_load"]
P50_S_MAX: Final = 0.5
"""As `P99_S_MAX` of flags and of kills."""
P99_S_MAX: Final = 2.0
"""With `P50_S_MAX` the product's own promise to an operator with a finger on the switch."""
PAUSE_S: Final = 0.1
"""For the acknowledgements of a bare broadcast."""


class Row(msgspec.Struct):
    """What was measured of one kind."""

    took_s: list[float] = []
    """Of each, until the last device; off and on in turn."""
    cpu_s: float = 0.0
    """Of all crews and for all of them, answers included."""
    missing: int = 0
    """Answers that the broker acknowledged and the gateway never got."""
    newest: float = -1.0
    """The version that was obeyed last."""

    def percentile_s(self, share: float, *, begin: int = 0, step: int = 1) -> float:
        """The time that a share (0 to 1) of them, or of every `step`-th from `begin`, lies below, s."""
        took = sorted(self.took_s[begin::step])
        return took[min(len(took) - 1, int(share * len(took)))]


def command_all(port: int, crews: int) -> list[Row]:
    """Command each flip when the fleet has answered the one before; flags and kills by turns."""
    rows = [Row() for _ in KIND_NAMES]
    with ExitStack() as stack:
        gateway = stack.enter_context(Load(LOAD, "command", port, DEVICES))
        gateway.hear("ready")
        begun = time.perf_counter()
        fleet = _fleet(stack, "obey", port, crews)
        print(f"{DEVICES:,} agents built, booted, online after {time.perf_counter() - begun:.1f} s")
        gateway.go()
        gateway.hear("quiet")
        for place in range(FLIPS):
            for kind, row in enumerate(rows):
                _time(gateway, fleet, row, kind, "quiet")
                _show(f"{KIND_NAMES[kind]} {place + 1} of {FLIPS}: {row.took_s[-1] * 1000:.0f} ms")
    return rows


def broadcast_all(port: int, crews: int) -> Row:
    """Publish `FLIPS` times to bare receivers."""
    row = Row()
    with ExitStack() as stack:
        fleet = _fleet(stack, "bare", port, crews)
        speaker = stack.enter_context(Load(LOAD, "speak", port, DEVICES))
        speaker.hear("ready")
        for _ in range(FLIPS):
            _time(speaker, fleet, row, 0)
            time.sleep(PAUSE_S)
    return row


def _fleet(stack: ExitStack, mode: str, port: int, crews: int) -> list[Load]:
    fleet = [
        stack.enter_context(Load(LOAD, mode, port, DEVICES, part, crews)) for part in range(crews)
    ]
    for crew in fleet:
        crew.hear("ready")
    return fleet


def _time(
    speaker: Load, fleet: Sequence[Load], row: Row, kind: int, end: str | None = None
) -> None:
    """Measure one command, and check that all of the fleet obeyed this one and no other."""
    before = sum(crew.cpu_s() for crew in fleet)
    speaker.go()
    (told,) = speaker.hear("told")
    ends, kinds, versions, counts = zip(*(crew.hear("last") for crew in fleet), strict=True)
    assert sum(counts) == DEVICES, f"expected {DEVICES} that have it, found {counts}"
    assert set(kinds) == {kind}, f"expected {KIND_NAMES[kind]}, found {kinds}"
    assert len(set(versions)) == 1, f"expected one version in all crews, found {versions}"
    assert versions[0] > row.newest, f"expected one newer than {row.newest}, found {versions}"
    assert min(ends) > told, f"expected it to be heard after {told}, found {ends}"
    row.newest = versions[0]
    row.took_s.append(max(ends) - told)
    if end is not None:
        row.missing += int(speaker.hear(end)[0])
    row.cpu_s += sum(crew.cpu_s() for crew in fleet) - before


def _show(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r{text:<60}", end="", file=sys.stderr, flush=True)


def table(bare: Row, rows: Sequence[Row], crews: int) -> bool:
    """Print what was found; whether both bars hold."""
    print(
        f"\ncommand to the last of {DEVICES:,} devices in {crews} processes, {FLIPS} times each"
        f"   (load {load_average()})"
    )
    print(f"  {'':32}{'p50 ms':>7}{'p99 ms':>8}{'x bare':>8}{'fleet CPU us a device':>23}")
    _print_row("bare broadcast, lean receivers", bare, bare)
    held = True
    for name, row in zip(KIND_NAMES, rows, strict=True):
        _print_row(name, row, bare)
        off, on = (row.percentile_s(0.5, begin=begin, step=2) * 1e3 for begin in (0, 1))
        held = held and row.percentile_s(0.5) < P50_S_MAX and row.percentile_s(0.99) < P99_S_MAX
        print(f"  {'':32}{off:7.0f} off, {on:.0f} on; {row.missing} answers dropped by the broker")
    verdict = "held" if held else "MISSED"
    print(f"  bar: p50 {P50_S_MAX * 1e3:.0f}, p99 {P99_S_MAX * 1e3:,.0f}: {verdict}")
    return held


def _print_row(name: str, row: Row, bare: Row) -> None:
    p50, p99 = row.percentile_s(0.5), row.percentile_s(0.99)
    each_us = row.cpu_s / FLIPS / DEVICES * 1e6
    ratio = p50 / bare.percentile_s(0.5)
    print(f"  {name:32}{p50 * 1e3:7.0f}{p99 * 1e3:8.0f}{ratio:8.1f}{each_us:23.0f}")


async def run(crews: int) -> bool:
    """On a broker of its own; whether the bars hold."""
    with tempfile.TemporaryDirectory() as folder:
        running = await open_broker("mosquitto", Path(folder) / "broker")
        try:
            port = running.endpoint.port
            bare = await asyncio.to_thread(broadcast_all, port, crews)
            rows = await asyncio.to_thread(command_all, port, crews)
        finally:
            await running.stop()
    return table(bare, rows, crews)


def report(crews: int = CREWS) -> bool:
    """Print the table; whether the bars hold."""
    raise_descriptor_limit()
    return asyncio.run(run(crews))


if __name__ == "__main__":
    sys.exit(not report(*map(int, sys.argv[1:2])))
