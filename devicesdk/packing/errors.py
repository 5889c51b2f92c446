"""Why a bundle was not made, or is not good.

Decides the two kinds that the command line tells apart: what was given cannot be used (the caller's to
mend), and what was looked at is not good (the finding of a check). Leaves out exit codes (cli.py).
"""

from __future__ import annotations


class CannotPack(ValueError):
    """What was given cannot be packed: names what was expected, what was found and what to do."""


class NotGood(ValueError):
    """A check said no: a variant reads rubbish, a signature is missing, a kit fails."""
