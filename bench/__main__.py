"""``python -m bench``: every table, in one run."""

from bench import clock, inference, world

for table in (clock, inference, world):
    table.report()
    print()
