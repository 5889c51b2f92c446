from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devicesdk.inference import engine, preprocess
from devicesdk.inference.engine import InferenceError
from devicesdk.inference.preprocess import Edges


def edges():
    return Edges(
        confidence=tuple(range(50, 1000, 50)),
        entropy=tuple(range(60, 960, 60)),
        features=tuple(tuple(range(100, 1000, 100)) for _ in range(8)),
    )


def peaked(position, sigma=0.6):
    away = np.arange(32)[None, :] - np.atleast_1d(position)[:, None]
    raw = np.exp(-0.5 * (away / sigma) ** 2)
    return (raw / raw.sum(axis=1, keepdims=True)).astype(np.float32)


def pixels(count=1, fill=0.0):
    return np.full((count, 1024), fill, dtype=np.float32)


def test_features_of_pictures_whose_features_are_known():
    grey = preprocess.describe(pixels(fill=-28.0))[0]
    assert grey.tolist() == [10000, 0, 0, 0, 0, 0, 0]
    right = pixels().reshape(1, 32, 32)
    right[:, :, 16:] = 127
    found = preprocess.describe(right.reshape(1, 1024))[0]
    assert found[3] == 500, "half of the pixels are saturated"
    assert found[5] == 12700, "the right half is 127 steps brighter"
    assert found[6] == 0
    lower = pixels(fill=-128.0).reshape(1, 32, 32)
    lower[:, 16:, :] = -100
    found = preprocess.describe(lower.reshape(1, 1024))[0]
    assert found[4] == 500, "half of the pixels are dark"
    assert found[6] == 2800


def test_sharpness_is_the_root_mean_square_of_steps_between_neighbours():
    generator = np.random.Generator(np.random.Philox(key=5))
    image = np.rint(generator.uniform(-128, 127, (4, 1024))).astype(np.float32)
    steps = np.diff(image.astype(np.float64), axis=1)
    expected = np.rint(100 * np.sqrt((steps**2).mean(axis=1)))
    found = preprocess.describe(image)
    assert found[:, 2].tolist() == expected.tolist()
    assert found[:, 1].tolist() == np.rint(100 * image.astype(np.float64).std(axis=1)).tolist()


@given(st.integers(0, 310))
@settings(max_examples=60, derandomize=True)
def test_the_reading_is_the_position_of_the_peak(tenths):
    position = tenths / 10
    reading = preprocess.interpret(peaked(position))[0][0]
    assert abs(reading - 1000 * position / 31) <= 12, f"a peak at bin {position} read {reading}"


def test_a_flat_row_is_least_confident_and_most_undecided():
    flat = np.full((1, 32), 1 / 32, dtype=np.float32)
    _, confidence, entropy, _, finite = preprocess.interpret(np.vstack((flat, peaked(10))))
    assert confidence[0] < 120 < 900 < confidence[1]
    assert (entropy[0], finite.all()) == (1000, True)
    assert entropy[1] < 300


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_becomes_an_error_code_and_leaves_its_neighbours_alone(bad):
    rows = peaked(np.array([5.0, 6.0, 7.0]))
    healthy = preprocess.quantise(pixels(3), rows, edges()).rows
    rows[1, 31] = bad
    found = preprocess.quantise(pixels(3), rows, edges()).rows
    assert found[1, :5].tolist() == [0, -1, 0, 15, InferenceError.NOT_FINITE]
    assert found[[0, 2]].tolist() == healthy[[0, 2]].tolist()


def test_rows_do_not_depend_on_the_batch_they_are_quantised_in():
    generator = np.random.Generator(np.random.Philox(key=6))
    images = np.rint(generator.uniform(-128, 127, (97, 1024))).astype(np.float32)
    rows = peaked(generator.uniform(0, 31, 97))
    together = preprocess.quantise(images, rows, edges()).rows
    alone = [
        preprocess.quantise(images[i : i + 1], rows[i : i + 1], edges()).rows for i in range(97)
    ]
    assert together.tobytes() == np.concatenate(alone).tobytes()


def test_bins_stay_in_range_at_the_extremes():
    images = np.concatenate((pixels(fill=-128.0), pixels(fill=127.0)))
    rows = preprocess.quantise(images, peaked(np.array([0.0, 31.0])), edges()).rows
    assert rows[:, engine.COLUMN_READING].min() >= 0
    assert rows[:, engine.COLUMN_READING].max() <= 1000
    assert rows[:, engine.COLUMN_FEATURES :].min() >= 0
    assert rows[:, engine.COLUMN_FEATURES :].max() <= engine.FEATURE_BINS - 1
    assert rows[:, engine.COLUMN_CONFIDENCE].max() <= engine.CONFIDENCE_BINS - 1


def test_edges_must_rise_and_be_complete():
    good = edges()
    with pytest.raises(ValueError, match="strictly rising"):
        Edges(confidence=(5,) * 19, entropy=good.entropy, features=good.features)
    with pytest.raises(ValueError, match="lengths"):
        Edges(confidence=good.confidence[:-1], entropy=good.entropy, features=good.features)


def test_a_colour_frame_is_prepared_as_the_bundle_pins_it():
    frame = np.zeros((1, 64, 96, 3), dtype=np.uint8)
    frame[..., 1] = 255
    made = preprocess.prepare(frame, ("luma601", "area32", "centre128"))
    assert made.shape == (1, 1024)
    assert set(made.ravel().tolist()) == {150.0 - 128.0}, "BT.601 weighs green with 0.587"


def test_a_grey_frame_needs_no_weighing():
    frame = np.arange(1024, dtype=np.int64).reshape(1, 32, 32).astype(np.uint8)
    made = preprocess.prepare(frame, ("luma601", "centre128"))
    assert made.ravel().tolist() == (frame.ravel().astype(int) - 128).tolist()


def test_shrinking_takes_the_mean_of_each_block():
    frame = np.zeros((1, 64, 64), dtype=np.uint8)
    frame[:, ::2, ::2] = 200
    assert set(preprocess.area32(frame).ravel().tolist()) == {50}


@pytest.mark.parametrize(
    ("shape", "operations", "story"),
    [
        ((1, 32, 32), ("luma601",), "ends in centre128"),
        ((1, 32, 32), (), "ends in centre128"),
        ((1, 32, 32), ("sharpen", "centre128"), "sharpen"),
        ((1, 33, 32), ("area32", "centre128"), "multiples of 32"),
        ((1, 64, 64), ("centre128",), "32 x 32"),
    ],
)
def test_preparation_that_does_not_fit_says_what_was_expected(shape, operations, story):
    with pytest.raises(ValueError, match=story):
        preprocess.prepare(np.zeros(shape, dtype=np.uint8), operations)
