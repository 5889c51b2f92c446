"""``python -m bench``: every table, in one run."""

from bench import clock, flips, inference, world
from bench.live import tables

for table in (clock, inference, world, tables, flips):
    table.report()
    print()
