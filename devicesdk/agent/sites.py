"""The places of the agent at which a rehearsal may make life hard (`devicesdk.wire.hardship`).

Decides their names. What each does when it acts stands at the place itself.
"""

from __future__ import annotations

from typing import Final

from devicesdk.wire.hardship import Site

WINDOW_OF_ONE: Final = Site(
    "agent.window_of_one", "A transfer never asks for more than one chunk at a time."
)
CHECKPOINT_OFTEN: Final = Site(
    "agent.checkpoint_often", "A transfer syncs and saves its chunk map after each chunk."
)
REQUESTS_REVERSED: Final = Site(
    "agent.requests_reversed", "Two chunk requests leave in the other order."
)
SAVE_TWICE: Final = Site("agent.save_twice", "The state is saved twice.")
SUBSCRIBE_ANEW: Final = Site(
    "agent.subscribe_anew", "A session that is there all the same is subscribed anew."
)
RETRY_AT_ONCE: Final = Site(
    "agent.retry_at_once", "One connect follows a failure at once, and then none."
)
HAVE_AGAIN: Final = Site(
    "agent.have_again", "What is installed is reported once more, though nothing changed."
)
KIT_AGAIN: Final = Site("agent.kit_again", "A proven image has to pass its kit once more.")

SITES: Final = (
    WINDOW_OF_ONE,
    CHECKPOINT_OFTEN,
    REQUESTS_REVERSED,
    SAVE_TWICE,
    SUBSCRIBE_ANEW,
    RETRY_AT_ONCE,
    HAVE_AGAIN,
    KIT_AGAIN,
)
