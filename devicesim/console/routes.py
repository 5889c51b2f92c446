"""What a rehearsal's page asks beside the gateway's own API: where the run is, its past, a device's story; and plays it.

Decides the shapes. Leaves out what they do (player.py, story.py). Who may look may play: nothing of the run is changed by it.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Depends, Request, Response
from pydantic import Field

from devicesdk.wire.timebase import MS, SECOND
from devicesim.console.past import Point
from devicesim.console.player import SPEED_MAX, Info, Player
from devicesim.console.runs import Run
from devicesim.console.story import story_of
from gateway.api import models
from gateway.api.answers import plain
from gateway.api.desk import Looked
from gateway.runtime.verbs import VerbError

ADDRESS: Final = "/run"
BANDS_MAX: Final = 100
router = APIRouter(prefix=ADDRESS, include_in_schema=False)


class BandTold(msgspec.Struct, frozen=True):
    """A fault while it lasted; UTC, ms."""

    from_ms: int
    to_ms: int
    label: str
    kind: str


class CheckTold(msgspec.Struct, frozen=True):
    """A check that did not hold, and since when; UTC, ms."""

    name: str
    at_ms: int
    story: str


class Told(msgspec.Struct, frozen=True):
    """The run, and what the player does."""

    scenario: str
    title: str
    seed: int
    run: str
    devices: int
    overrides: tuple[str, ...]
    changed: str
    player: Info
    bands: list[BandTold]
    failed: list[CheckTold]


class PastTold(msgspec.Struct, frozen=True):
    """The fleet by time."""

    points: list[Point]


class Speed(models.Request):
    """How fast to play."""

    speed: float = Field(gt=0, le=SPEED_MAX, description="Virtual seconds for each real one.")


class Place(models.Request):
    """Where to go."""

    at_s: float = Field(ge=0, le=1e9, description="Seconds since the run's beginning.")


async def _player(request: Request) -> Player:
    found: Player = request.app.state.player
    return found


Played = Annotated[Player, Depends(_player)]


@router.get("")
async def show_run(desk: Looked, player: Played) -> Response:
    """The run, and where its player is."""
    del desk
    return plain(_told(player))


@router.get("/past")
async def show_past(desk: Looked, player: Played) -> Response:
    """The fleet by time, up to now."""
    del desk
    return plain(PastTold(player.past()))


@router.get("/devices/{device}/story")
async def show_story(desk: Looked, player: Played, device: str) -> Response:
    """What happened to a device, up to now."""
    found = await story_of(player, device)
    if found is None:
        raise VerbError("unknown", f"expected a device of the run, found {device[:80]!r}")
    return desk.answer(found)


@router.post("/play")
async def play(desk: Looked, player: Played, asked: Speed) -> Response:
    """Go on from where it is."""
    del desk
    player.play(asked.speed)
    return plain(_told(player))


@router.post("/pause")
async def pause(desk: Looked, player: Played) -> Response:
    """Stay where it is."""
    del desk
    player.pause()
    return plain(_told(player))


@router.post("/go")
async def go(desk: Looked, player: Played, asked: Place) -> Response:
    """Go to an instant."""
    del desk
    player.go(int(asked.at_s * SECOND))
    return plain(_told(player))


@router.post("/follow")
async def follow(desk: Looked, player: Played) -> Response:
    """Go to the end of the run, or to where it has come to, and on with it."""
    del desk
    player.follow()
    return plain(_told(player))


def _told(player: Player) -> Told:
    run = player.run
    return Told(
        scenario=run.scenario.name,
        title=run.scenario.title,
        seed=run.seed,
        run=run.folder.name,
        devices=player.devices,
        overrides=run.overrides,
        changed=run.changed,
        player=player.info(),
        bands=_bands(run, player),
        failed=_failed(run, player),
    )


def _bands(run: Run, player: Player) -> list[BandTold]:
    kept = player.kept
    found: list[Any] = [] if kept is None else kept.bands[:BANDS_MAX]
    return [
        BandTold(_ms(run, band.start_s), _ms(run, band.end_s), band.label, band.kind)
        for band in found
    ]


def _failed(run: Run, player: Player) -> list[CheckTold]:
    kept = player.kept
    rows = [] if kept is None else [row for row in kept.checks if row.held is False]
    return [CheckTold(row.name, _at_ms(run, row), row.story) for row in rows[:BANDS_MAX]]


def _at_ms(run: Run, row: Any) -> int:
    """Since when a check was broken; the end of the run, where it was judged there."""
    if row.first_bad_ns is not None:
        return int(run.start_ms + row.first_bad_ns // MS)
    return _ms(run, run.end_ns / SECOND if row.at_s is None else row.at_s)


def _ms(run: Run, at_s: float) -> int:
    return run.start_ms + round(at_s * 1000)
