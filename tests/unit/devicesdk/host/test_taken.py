"""Frames taken and not run, with real storage, a real image and real models."""

import asyncio
from hashlib import sha256

import pytest

from devicesdk.agent.effects import Mode, RunTaken, TakeFrames
from devicesdk.agent.snapshot import Slot
from devicesdk.aio.clock import RealClock
from devicesdk.bundle import sealed
from devicesdk.host.burst import Bench
from devicesdk.host.camera import DrawnCamera
from devicesdk.host.models import BundleShelf, Models
from devicesdk.host.storage import Storage
from devicesdk.host.taken import BURSTS_MAX, Reading, Shelf, Taking
from devicesdk.host.worker import Worker
from devicesdk.inference.engine import InferenceError
from devicesdk.inference.onnx import OnnxEngine
from devicesdk.inference.source import load_source
from devicesdk.wire.timebase import MS
from tests_kit.device_stage import MODELS

FOLDER = MODELS / "gauge/1.0.0"
SOURCE = load_source(FOLDER)
IMAGE = sealed.seal(
    SOURCE.models["fp32"], "fp32", (FOLDER / "bundle.json").read_bytes(),
    (FOLDER / "kit.npz").read_bytes(), {"int8-rr": SOURCE.models["int8-rr"], "rule": b""},
)  # fmt: skip
HOLDS = Slot(variant="fp32", image=sha256(IMAGE).digest(), size_bytes=len(IMAGE), verified=True)


class Stage:
    """A bench with a real image in slot a, and a shelf."""

    def __init__(self, folder):
        loop = asyncio.get_running_loop()
        self.storage = Storage(folder / "device")
        self.storage.write("slot-a", 0, IMAGE)
        models = Models(self.storage, DrawnCamera(3), BundleShelf(()), RealClock().now)
        self.worker = Worker(pytest.fail, loop)
        self.bench = Bench(RealClock(), loop, self.worker, models)
        self.shelf = Shelf()

    def take(self, frames=3, side=0, send=False, burst=1):
        over = self.bench.loop.create_future()
        effect = TakeFrames(burst, "a", frames, 20 * MS, side, send)
        made = Taking(self.bench, effect, HOLDS, self.shelf, over.set_result)
        return made, asyncio.wait_for(over, 60)

    async def run(self, variant="", burst=1):
        over = self.bench.loop.create_future()
        frames = self.shelf.take(burst)
        effect = RunTaken(burst, "a", Mode(variant))
        reading = Reading(self.bench, effect, HOLDS, frames, over.set_result)
        reading.next()
        return await asyncio.wait_for(over, 60)


@pytest.fixture
async def stage(tmp_path):
    made = Stage(tmp_path)
    yield made
    made.worker.close()
    made.storage.close()


async def test_frames_are_kept_until_they_are_run_on_any_variant(stage):
    for burst, variant in enumerate(("", "int8-rr", "rule"), start=1):
        _, over = stage.take(burst=burst)
        taken = await over
        assert 1 <= taken.frames <= 3
        assert taken.pixels == b"", "pixels that nobody asked for"
        reading = await stage.run(variant, burst)
        assert reading.frames == taken.frames
        assert {row[-1] for row in reading.readings.rows()} == {InferenceError.OK}, variant
    assert len(stage.shelf) == 0


async def test_pixels_that_are_sent_are_the_models_input_and_an_answer_is_read_as_our_own(stage):
    _, over = stage.take(send=True)
    taken = await over
    assert len(taken.pixels) == 1024 * taken.frames
    frames = stage.shelf.take(1)
    engine = OnnxEngine(SOURCE.models["fp32"])
    outputs = b"".join(engine.run(frame).astype("<f4").tobytes() for frame in frames)
    models = stage.bench.models
    answered = models.answer("a", HOLDS, frames, outputs)
    assert answered == [models.run("a", HOLDS, frame, "").row for frame in frames]


async def test_a_variant_that_is_not_there_makes_frames_in_error_and_not_a_crash(stage):
    await stage.take()[1]
    reading = await stage.run("fp16")
    assert {row[-1] for row in reading.readings.rows()} == {InferenceError.FAILED}


async def test_a_cut_keeps_what_is_there_and_tells_nobody(stage):
    taking, over = stage.take(frames=50_000)
    await asyncio.sleep(0.06)
    taking.cut()
    assert len(stage.shelf.take(1)) == taking.frames < 50_000
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(over, 0.1)


async def test_frames_of_a_burst_that_is_not_here_are_none(stage):
    assert (await stage.run(burst=9)).frames == 0


def test_the_shelf_is_bounded():
    shelf = Shelf()
    for burst in range(BURSTS_MAX + 5):
        shelf.keep(burst, [])
    assert len(shelf) == BURSTS_MAX
