import asyncio
import threading

import pytest

from devicesdk.agent.effects import RunModel
from devicesdk.agent.snapshot import Slot
from devicesdk.aio.clock import RealClock
from devicesdk.host.burst import Bench, Burst
from devicesdk.host.models import Frame
from devicesdk.host.worker import Worker
from devicesdk.wire.timebase import MS


class Gallery:
    """Models whose frames come when they are let."""

    def __init__(self, *, let=True, frames=True):
        self.go, self.frames, self.taken = threading.Event(), frames, 0
        if let:
            self.go.set()

    limit_s = 10.0

    def stop(self):
        raise AssertionError("nothing here takes ten seconds")

    def frame(self, slot, holds, now, mode):
        self.go.wait(60)
        self.taken += 1
        return Frame([500] * 12, 2000 * self.taken) if self.frames else None

    def pair(self, slot, holds, shadow, shadow_holds, now, mode):
        assert (slot, shadow, shadow_holds) == ("a", "b", Slot(variant="beside"))
        frame = self.frame(slot, holds, now, mode)
        return frame and Frame(frame.row, frame.latency_ns, Frame([600] * 12, 7000))


@pytest.fixture
async def stage():
    loop = asyncio.get_running_loop()
    workers = []

    def begin(gallery, frames, period_ns, shadow=None):
        over = loop.create_future()
        worker = Worker(over.set_exception, loop)
        workers.append((worker, gallery))
        bench = Bench(RealClock(), loop, worker, gallery)
        asked = RunModel(1, "a", frames, period_ns, shadow="" if shadow is None else "b")
        burst = Burst(bench, asked, Slot(), over.set_result, shadow)
        return burst, asyncio.wait_for(over, 60)

    yield begin
    for worker, gallery in workers:
        gallery.go.set()
        worker.close()


async def test_a_burst_takes_its_frames_and_says_so_when_its_last_beat_is_over(stage):
    burst, over = stage(Gallery(), 4, 20 * MS)
    began = burst._started_at
    assert await over is burst
    assert burst._bench.clock.now() - began >= 80 * MS, "a burst ended before its time"
    assert 1 <= burst.frames <= 4
    assert len(burst.readings.rows()) == burst.frames
    assert burst.latency_us == sum(range(2, 2 * burst.frames + 1, 2)) // burst.frames


async def test_beats_that_come_while_a_frame_is_in_hand_are_missed_and_the_end_waits_for_it(stage):
    gallery = Gallery(let=False)
    burst, over = stage(gallery, 5, 10 * MS)
    await asyncio.sleep(0.15)
    assert burst.frames == 0
    gallery.go.set()
    await over
    assert (burst.frames, gallery.taken) == (1, 1)


async def test_a_cut_waits_for_nothing_and_what_comes_later_is_not_looked_at(stage):
    gallery = Gallery(let=False)
    burst, over = stage(gallery, 2, 10 * MS)
    burst.cut()
    assert burst.frames == 0
    gallery.go.set()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(over, 0.1)
    assert burst.frames == 0


async def test_frames_that_could_not_be_taken_did_not_run(stage):
    burst, over = stage(Gallery(frames=False), 3, 5 * MS)
    await over
    assert (burst.frames, burst.latency_us, burst.readings.rows()) == (0, 0, [])


async def test_a_shadow_has_a_row_for_each_frame_that_ran(stage):
    burst, over = stage(Gallery(), 3, 10 * MS, Slot(variant="beside"))
    await over
    assert burst.frames == len(burst.shadow.rows()) > 0
    assert burst.shadow.rows()[0] == [600] * 12
    assert burst.shadow_latency_us == 7
    alone, over = stage(Gallery(), 1, 10 * MS)
    await over
    assert alone.shadow is None
