"""Going to instants, forwards and back, playing, and looking meanwhile."""

import asyncio
import threading

import pytest

from devicesdk.aio.clock import RealClock
from devicesdk.wire.timebase import HOUR, MINUTE, SECOND
from devicesim.console.player import LOOKS_MAX, Player
from devicesim.console.runs import open_run
from gateway.runtime.life import BusyError, NotRunningError

PATIENCE_S = 60.0


@pytest.fixture
async def play(finished):
    players = []

    def play(**more):
        made = Player(open_run(finished), RealClock(), **more)
        players.append(made)
        made.start()
        return made

    yield play
    for player in players:
        await asyncio.to_thread(player.close)


async def until(reached, what):
    for _ in range(int(PATIENCE_S / 0.01)):
        if reached():
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"waited {PATIENCE_S} s in vain for {what}")


def at(player):
    info = player.info()
    return (info.now_ms - info.start_ms) / 1000


async def test_it_goes_to_the_end_and_that_is_the_runs(play):
    player = play()
    await until(lambda: player.info().same is not None, "the end")
    info = player.info()
    assert info.same is True
    assert (info.state, info.now_ms, info.takes) == ("paused", info.end_ms, 1)
    assert (info.verdict, info.digest) == ("passed", player.run.kept.trace_digest)


async def test_forwards_is_the_same_take_and_backwards_another(play):
    player = play(at_ns=HOUR)
    await until(lambda: at(player) == 3600, "an hour")
    player.go(HOUR + 10 * MINUTE)
    await until(lambda: at(player) == 4200, "ten minutes more")
    assert player.info().takes == 1
    later = await player.look(lambda take: take.gateway.core.overview())
    player.go(25 * MINUTE)
    await until(lambda: at(player) == 1500 and player.info().state == "paused", "the past")
    assert player.info().takes == 2
    earlier = await player.look(lambda take: take.gateway.core.overview())
    assert earlier.versions != later.versions, "the rollout begins at half an hour"
    player.go(HOUR + 10 * MINUTE)
    await until(lambda: at(player) == 4200, "the same instant again")
    assert await player.look(lambda take: take.gateway.core.overview()) == later


async def test_a_look_comes_between_two_events_also_while_it_runs(play):
    player = play()
    seen = [await player.look(lambda take: take.now) for _ in range(5)]
    assert seen == sorted(seen)


async def test_whoever_looks_wrongly_is_told_alone(play):
    player = play(at_ns=MINUTE)
    with pytest.raises(ZeroDivisionError):
        await player.look(lambda take: 1 // (take.now - take.now))
    assert await player.look(lambda take: take.end_ns) == 2 * HOUR


async def test_pausing_stays_where_it_is(play):
    player = play(at_ns=10 * MINUTE)
    await until(lambda: at(player) == 600, "ten minutes")
    player.play(600.0)
    assert player.info().state == "playing"
    await until(lambda: at(player) > 660, "a minute of play")
    player.pause()
    await until(lambda: player.info().state == "paused", "a pause")
    there = at(player)
    assert await player.look(lambda take: take.now / SECOND) == pytest.approx(there, abs=0.001)
    assert player.info().takes == 1, "a pause makes no new take"


async def test_playing_ends_where_the_run_does(play):
    player = play(at_ns=2 * HOUR - MINUTE)
    player.play(100_000.0)
    await until(lambda: player.info().state == "paused" and at(player) == 7200, "the end")
    assert player.info().same is True


async def test_the_newest_wish_counts_while_it_is_on_its_way(play):
    player = play()
    player.go(90 * MINUTE)
    player.go(20 * MINUTE)
    await until(lambda: at(player) == 1200 and player.info().state == "paused", "the last wish")
    player.follow()
    await until(lambda: at(player) == 7200, "the end")


async def test_nobody_waits_for_a_player_that_is_closed(play):
    player = play(at_ns=0)
    await asyncio.to_thread(player.close)
    with pytest.raises(NotRunningError):
        player.look(lambda take: take.now)


async def test_too_many_who_wait_are_refused(play):
    player = play(at_ns=0)
    await player.look(lambda take: take.now)
    hold, held = threading.Event(), threading.Event()

    def wait(_):
        held.set()
        return hold.wait(PATIENCE_S)

    first = player.look(wait)
    await asyncio.to_thread(held.wait, PATIENCE_S)
    waiting = [player.look(lambda take: take.now) for _ in range(LOOKS_MAX)]
    with pytest.raises(BusyError):
        player.look(lambda take: take.now)
    hold.set()
    await first
    assert await asyncio.gather(*waiting) == [0] * LOOKS_MAX


async def test_a_world_that_fails_is_told_to_all_who_ask(finished, tmp_path):
    run = open_run(finished)
    import msgspec

    bundles = run.scenario.model_copy(update={"bundles": []})
    player = Player(msgspec.structs.replace(run, scenario=bundles), RealClock())
    player.start()
    await until(lambda: player.info().state == "broken", "the failure")
    assert "cannot be played" in player.info().why
    with pytest.raises(NotRunningError, match="cannot be played"):
        player.look(lambda take: take.now)
    await asyncio.to_thread(player.close)
