from __future__ import annotations

import numpy as np
import pytest

from devicesdk.wire.timebase import HOUR, SECOND
from devicesim.entropy import Entropy
from devicesim.models import roadstream
from devicesim.models.datastream import Condition, Site, Sun
from devicesim.models.roadstream import RoadStream


def vehicle(name="v", seed=1):
    return RoadStream(Entropy(seed), name, Sun(Site()))


def drawn(spec, count=None):
    frames = roadstream.expand([spec], [count or spec.frames])
    return roadstream.render(frames, np.empty((len(frames.values), 1024), np.float32)), frames


def test_a_cut_burst_shows_the_head_of_the_whole_one():
    spec = vehicle().burst(HOUR, 6, SECOND)
    whole, frames = drawn(spec)
    assert whole[:3].tobytes() == drawn(spec, 3)[0].tobytes()
    assert len({row.tobytes() for row in whole}) == 6, "each frame is another picture"
    assert ((frames.values >= 0) & (frames.values <= 1)).all()


def test_a_device_draws_the_same_whoever_else_exists():
    entropy, sun = Entropy(5), Sun(Site())
    RoadStream(entropy, "other", sun).burst(0, 3, SECOND)
    assert RoadStream(entropy, "v", sun).burst(HOUR, 2, SECOND) == vehicle(seed=5).burst(
        HOUR, 2, SECOND
    )


@pytest.mark.parametrize(
    ("condition", "field"), [(Condition.BLUR, "rain"), (Condition.DIM, "night")]
)
def test_weather_comes_and_goes(condition, field):
    stream = vehicle()
    before = stream.burst(0, 1, SECOND)
    token = stream.apply(condition, 0.6, 0)
    assert getattr(stream.burst(0, 1, SECOND), field) == pytest.approx(0.6)
    stream.undo(token)
    assert stream.burst(0, 1, SECOND) == before
    with pytest.raises(KeyError):
        stream.undo(token)


def test_rain_is_no_defocus_and_haze_is_on_the_lens():
    stream, hazed = vehicle(), vehicle()
    hazed.apply(Condition.HAZE, 0.3, 0)
    assert hazed.burst(0, 1, SECOND).gain < stream.burst(0, 1, SECOND).gain
    assert stream.value(0) == hazed.value(0), "the road does not care for the lens"


def test_a_frozen_camera_repeats_one_picture_until_it_is_undone():
    stream = vehicle()
    token = stream.apply(Condition.STUCK, 0.0, HOUR)
    pictures, _ = drawn(stream.burst(2 * HOUR, 4, SECOND))
    assert len({row.tobytes() for row in pictures}) == 1
    stream.undo(token)
    pictures, _ = drawn(stream.burst(3 * HOUR, 4, SECOND))
    assert len({row.tobytes() for row in pictures}) == 4


def test_an_amount_out_of_range_changes_nothing():
    stream = vehicle()
    with pytest.raises(ValueError, match="shares, not percent"):
        stream.apply(Condition.DIM, 80, 0)
    token = stream.apply(Condition.DIM, 0.8, 0)
    stream.undo(token)
    assert stream.burst(0, 1, SECOND) == vehicle().burst(0, 1, SECOND)
