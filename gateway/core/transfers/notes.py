"""The kinds of `Note` that the transfers machine makes, each with the sentence that it stands for.

Decides names and wording; a note never decides anything. ``{subject}``, ``{a}`` and ``{b}`` are the
note's fields.
"""

from __future__ import annotations

from typing import Final

from devicesdk.wire.errors import Nack, Wait

REFUSED: Final = {code: f"transfers.refused.{code}" for code in Nack}
DELAYED: Final = {why: f"transfers.delayed.{why}" for why in Wait}
BEGUN: Final = "transfers.begun"
LAPSED: Final = "transfers.lapsed"
FULL: Final = "transfers.full"

SENTENCES: Final[dict[str, str]] = {
    **{
        kind: f"Request {{b}} of device {{subject}} in transfer {{a}} was refused: {code}."
        for code, kind in REFUSED.items()
    },
    **{
        kind: f"Device {{subject}} is to ask again in {{b}} ms for transfer {{a}}: {why}."
        for why, kind in DELAYED.items()
    },
    BEGUN: "Device {subject} is being served (transfer {a}), one of {b}.",
    LAPSED: "{a} devices stopped asking; {b} are still being served.",
    FULL: "{subject} was not taken in: {a} are the limit.",
}
"""What each kind means, for people."""
