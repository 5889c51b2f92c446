"""The places of the gateway core at which a rehearsal may make life hard (`devicesdk.wire.hardship`).

Decides their names. What each does when it acts stands at the place itself.
"""

from __future__ import annotations

from typing import Final

from devicesdk.wire.hardship import Site

TOLD_TO_WAIT: Final = Site(
    "core.told_to_wait", "A device that could be served is told to wait, once."
)
ROUND_OF_ONE: Final = Site(
    "core.round_of_one", "A round has one chunk, however many were asked for."
)
RESTORE_REVERSED: Final = Site(
    "core.restore_reversed", "Durable rows come back in the other order."
)

SITES: Final = (TOLD_TO_WAIT, ROUND_OF_ONE, RESTORE_REVERSED)
