"""``python -m bench``: every table, in one run."""

from bench import clock, delta, flips, inference, world
from bench.live import tables

for table in (clock, inference, delta, world, tables, flips):
    table.report()
    print()
