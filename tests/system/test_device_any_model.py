"""``fleetdrill device run`` with models that read no dials: fetched, judged by their kits, run, watched."""

import numpy as np
import pytest

from devicesdk.bundle.archive import file_reader
from devicesdk.bundle.source import read_release
from devicesdk.packing.builder import Labels
from devicesdk.packing.study import Said
from devicesdk.wire.messages import UpdateState
from tests_kit import tensor_models as little
from tests_kit.device_stage import Device, GaugeBundle, Tower, mosquitto

pytestmark = pytest.mark.mosquitto
SENTENCES = {
    "model": little.embedder(), "samples": little.sentences(), "said": Said(kind="embed"), "wanted": ("fp32",),
    "labels": Labels(id="words"),
}  # fmt: skip


def offered(number, **said):
    """The float32 image of a bundle that the tool builds, ready to be offered."""
    release, images = read_release(file_reader(little.bundle(**said).members))
    return GaugeBundle(images["fp32"], number, release.kit.sha256)


async def test_pictures_then_sentences_and_never_a_model_that_its_kit_refuses(tmp_path):
    first, second = offered(1), offered(2, **SENTENCES)
    swapped = second.image.replace(little.embedder(), little.embedder(8))
    assert len(swapped) == len(second.image)
    spoilt = GaugeBundle(swapped, 3)
    folder = tmp_path / "seen"
    folder.mkdir()
    with mosquitto(tmp_path) as port:
        tower = Tower(port, first, second, spoilt)
        await tower.open()
        tower.offer(first, 1)
        for sample in little.pictures(4):
            np.save(folder / f"a-{sample.name}", sample.frame)
        for sample in little.sentences(4):
            np.savez(folder / f"b-{sample.name}", **sample.frame)
        with Device(tmp_path, port, "--images", str(folder)) as device:
            device.start()
            assert (await tower.until_state(UpdateState.COMMITTED, 1)).running == first.digest
            await tower.until(
                "a window of pictures", lambda t: any(w.frames for w in t.said["tel"])
            )
            tower.offer(second, 2)
            assert (await tower.until_state(UpdateState.COMMITTED, 2)).running == second.digest
            tower.offer(spoilt, 3)
            have = await tower.until_state(UpdateState.FAILED, 3)
            assert have.running == second.digest, "it goes on with what it had"
            assert "deviation" in device.log + str(have), f"{have}\n{device.log}"
            assert device.terminate() == 0
        tower.close()
