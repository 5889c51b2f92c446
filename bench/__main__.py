"""``python -m bench``: every table, in one run."""

from bench import brakes, clock, console, delta, drift, flips, inference, sweep, telemetry, world
from bench.live import tables

for table in (
    clock,
    inference,
    world,
    sweep,
    telemetry,
    delta,
    drift,
    brakes,
    tables,
    flips,
    console,
):
    table.report()
    print()
