"""The whole play, from the first connect to the verdicts.

Decides the order of the chapters and the bound on their time. Leaves out what they do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Final

import msgspec

from gateway.conform import chapters, rotations
from gateway.conform.stage import CannotPlayError, Stage
from gateway.conform.updates import Updates

PATIENCE_S: Final = 15.0
WITHIN_S: Final = 240.0


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How to play."""

    feature: str = "gauge"
    """What is killed and revived: the device's inference feature."""
    wait_s: float = 60.0
    """How long to wait for the device to come online."""
    patience_s: float = PATIENCE_S
    """How long to wait for each thing that it should do."""
    within_s: float = WITHIN_S
    """Bound on the whole."""
    image: bytes | None = None
    """An ONNX file that the device accepts; None: a pattern, for devices that run anything."""
    kit: str = ""
    variant: str = "conform"


async def play(stage: Stage, options: Options, tell: Callable[[str], None]) -> None:
    """Play everything; the verdicts are in the stage's ledger.

    Args:
        stage: connected by this.
        options: how to play.
        tell: hears that the device may come, then the name of each chapter.

    Raises:
        CannotPlayError: no broker, no device, or the time is over.
    """
    try:
        async with asyncio.timeout(options.within_s + options.wait_s):
            await stage.open()
            if stage.repository is not None:
                stage.trusts(stage.repository)
            trapped = await chapters.trap(stage, options.patience_s)
            tell(f"waiting for {stage.device}")
            await chapters.arrival(stage, options.wait_s, trapped=trapped)
            for title, chapter in _chapters(stage, options):
                tell(title)
                await chapter()
    except TimeoutError:
        raise CannotPlayError(
            f"expected to be through within {options.within_s:g} s of the device's arrival: it "
            f"answers too slowly; allow more with --within"
        ) from None
    finally:
        await stage.close()


Chapters = list[tuple[str, Callable[[], Coroutine[None, None, None]]]]


def _of_roles(stage: Stage, updates: Updates, patience_s: float) -> Chapters:
    repository = stage.repository
    if repository is None:
        return []
    return [
        ("roots", lambda: rotations.roots(stage, repository, patience_s)),
        (
            "what targets do not list",
            lambda: rotations.unlisted(stage, repository, updates, patience_s),
        ),
    ]


def _chapters(stage: Stage, options: Options) -> Chapters:
    patience_s = options.patience_s
    updates = Updates(
        stage, patience_s, image=options.image, kit=options.kit, variant=options.variant
    )
    own = _of_roles(stage, updates, patience_s)
    return [
        ("kill lists", lambda: chapters.kills(stage, options.feature, patience_s)),
        ("flags", lambda: chapters.flags(stage, patience_s)),
        ("wants that are lies", lambda: chapters.lies(stage, patience_s)),
        ("update 1: held, then full of mischief", updates.held_then_mischievous),
        (
            "updates 2 and 3: cut, overtaken, killed",
            lambda: updates.cut_overtaken_killed(options.feature),
        ),
        ("updates that must be refused", updates.refusals),
        *own,
        ("stray frames and verbs", updates.strays),
        ("garbage", lambda: chapters.garbage(stage, patience_s)),
        ("what is retained", lambda: chapters.retained(stage)),
    ]
