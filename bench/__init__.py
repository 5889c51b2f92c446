"""Speeds, each beside a floor or a peer measured in the same run: trust the ratios.

Run with ``make bench``. Absolute figures depend on the machine and on who else is on it; counts are
asserted, so that a figure never measures something else than it says.
"""
