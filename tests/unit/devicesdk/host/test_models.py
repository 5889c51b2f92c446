from hashlib import sha256

import numpy as np
import pytest

from devicesdk.agent.snapshot import Slot
from devicesdk.host.camera import DrawnCamera, NoFrameError
from devicesdk.host.models import BundleShelf, Models
from devicesdk.host.storage import Storage
from tests_kit.device_stage import MODELS, gauge_image, kit_digest

RAW = (MODELS / "gauge/1.0.0/int8-rr.onnx").read_bytes()


class NoCamera:
    def frame(self, now):
        raise NoFrameError("the lens cap is on")


@pytest.fixture
def storage(tmp_path):
    made = Storage(tmp_path / "device")
    yield made
    made.close()


def filled(storage, image, slot="a", tail=b""):
    storage.write(f"slot-{slot}", 0, image + tail)
    return Slot(image=sha256(image).digest(), size_bytes=len(image), verified=True)


def models(storage, *folders, camera=None):
    return Models(storage, camera or DrawnCamera(3), BundleShelf(folders), lambda: 0)


def test_a_slot_is_judged_and_read_though_an_older_longer_image_left_its_tail(storage):
    image = gauge_image()
    holds = filled(storage, image, tail=b"of an older image" * 1000)
    made = models(storage)
    assert made.judge("a", holds, kit_digest()).passed
    frame = made.frame("a", holds, 0)
    assert len(frame.row) == 12
    assert made.missed == 0


def test_an_image_that_storage_changed_fails_its_kit_and_runs_no_frame(storage):
    holds = filled(storage, gauge_image())
    storage.write("slot-a", 1000, b"\xff" * 16)
    made = models(storage)
    assert made.judge("a", holds, "").reason == "model"
    assert made.frame("a", holds, 0) is None


def test_an_image_without_a_kit_needs_the_bundle_of_this_machine(storage):
    holds = filled(storage, RAW)
    assert models(storage).judge("a", holds, kit_digest()).reason == "kit"
    for folder in (MODELS, MODELS / "gauge", MODELS / "gauge/1.0.0"):
        assert models(storage, folder).judge("a", holds, kit_digest()).passed, folder
    assert models(storage, MODELS / "gauge/1.1.0").judge("a", holds, "").reason == "kit"


def test_a_damaged_bundle_directory_is_passed_over(storage, tmp_path):
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "bundle.json").write_text(sha256(RAW).hexdigest())
    holds = filled(storage, RAW)
    assert models(storage, bad, MODELS).judge("a", holds, "").passed


def test_no_file_no_model_no_frame(storage):
    made = models(storage)
    assert made.judge("b", Slot(size_bytes=10), "").reason == "model"
    assert made.frame("b", Slot(size_bytes=10), 0) is None


def test_frames_that_cannot_be_taken_are_counted_and_stand_for_nothing(storage):
    holds = filled(storage, gauge_image())
    made = models(storage, camera=NoCamera())
    assert [made.frame("a", holds, 0) for _ in range(2)] == [None, None]
    assert made.missed == 2


def test_a_new_image_in_the_same_slot_is_opened(storage):
    made = models(storage)
    old = filled(storage, gauge_image("gauge/1.0.0"))
    first = made.frame("a", old, 0)
    new = filled(storage, gauge_image("gauge/1.1.0"))
    assert made.frame("a", new, 0) is not None
    assert made._opened == ("a", new)
    assert np.shape(first.row) == (12,)


def test_a_shadow_sees_the_same_picture_and_is_closed_when_none_is_asked_for(storage):
    active = filled(storage, gauge_image())
    beside = filled(storage, gauge_image("gauge/1.1.0"), "b")
    made, alone = models(storage), models(storage)
    pair = made.pair("a", active, "b", beside, 0)
    assert pair.row == alone.frame("a", active, 0).row
    assert pair.shadow.row == models(storage).frame("b", beside, 0).row
    assert pair.row != pair.shadow.row
    assert made._beside is not None
    made.frame("a", active, 0)
    assert made._beside is None


def test_a_shadow_that_cannot_run_is_an_error_and_production_goes_on(storage, caplog):
    active = filled(storage, gauge_image())
    storage.write("slot-b", 0, b"rubbish" * 100)
    beside = Slot(image=sha256(b"rubbish" * 100).digest(), size_bytes=700, verified=True)
    made = models(storage)
    for _ in range(2):
        pair = made.pair("a", active, "b", beside, 0)
        assert pair.row[11] == 0
        assert pair.shadow.row[11] == 1
    assert caplog.text.count("shadow=model") == 1, "said once, then counted"
