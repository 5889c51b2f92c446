"""A device's story up to now."""

import asyncio

import pytest

from devicesdk.aio.clock import RealClock
from devicesdk.wire.timebase import HOUR, MINUTE
from devicesim.console.player import Player
from devicesim.console.runs import open_run
from devicesim.console.story import EVERYDAY, story_of


@pytest.fixture
async def player(finished):
    made = Player(open_run(finished), RealClock(), at_ns=25 * MINUTE)
    made.start()
    yield made
    await asyncio.to_thread(made.close)


async def arrive(player, at_ns):
    player.go(at_ns)
    for _ in range(6_000):
        if await player.look(lambda take: take.now) == at_ns:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"waited in vain for {at_ns}")


async def test_it_tells_what_has_happened_and_nothing_of_what_comes(player):
    await arrive(player, 25 * MINUTE)
    before = await story_of(player, "kiosk-0003")
    assert before.lines[-1].what == "boot"
    now = player.info().now_ms
    assert all(line.at_ms <= line.until_ms <= now for line in before.lines)
    assert not any("update" in line.said for line in before.lines)
    await arrive(player, HOUR)
    after = await story_of(player, "kiosk-0003")
    said = [line.said for line in after.lines]
    assert any("committed" in words for words in said), said
    assert [line.until_ms for line in after.lines] == sorted((line.until_ms for line in after.lines), reverse=True)  # fmt: skip
    assert not EVERYDAY & {line.what for line in after.lines}


async def test_alike_rows_that_stand_together_are_one_line(player):
    await arrive(player, HOUR)
    story = await story_of(player, "kiosk-0003")
    pairs = zip(story.lines, story.lines[1:], strict=False)
    assert all(a.what != b.what or a.at_ms - b.until_ms >= 30 * 60_000 for a, b in pairs)


async def test_a_device_that_is_none_has_no_story(player):
    assert await story_of(player, "nobody") is None
