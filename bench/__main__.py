"""``python -m bench``: every table, in one run."""

from bench import clock, drift, flips, inference, telemetry, world
from bench.live import tables

for table in (clock, inference, world, telemetry, drift, tables, flips):
    table.report()
    print()
