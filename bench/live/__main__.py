"""``python -m bench.live``."""

from bench.live import tables

tables.report()
