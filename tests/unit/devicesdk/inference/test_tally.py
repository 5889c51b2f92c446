from __future__ import annotations

import numpy as np

from devicesdk.inference import engine
from devicesdk.inference.engine import InferenceError
from devicesdk.inference.tally import tally


def row(confidence=0, entropy=0, label=3, error=InferenceError.OK, features=(0,) * 8):
    return [500, label, confidence, entropy, error, *features]


def test_every_frame_is_counted_once_in_each_histogram():
    features = (9, 8, 7, 6, 5, 4, 3, 2)
    rows = np.array([row(19, 15), row(19, 0, features=features), row(0, 1)], dtype=np.int16)
    found = tally(rows)
    assert found.frames == 3
    assert (found.confidence[19], found.confidence[0], sum(found.confidence)) == (2, 1, 3)
    assert (found.entropy[15], found.entropy[0], found.entropy[1]) == (1, 1, 1)
    assert [found.features[10 * i + bin_] for i, bin_ in enumerate(features)] == [1] * 8
    assert sum(found.features) == 3 * engine.FEATURES
    assert found.labels[3] == 3
    assert found.errors == {}


def test_failed_frames_have_no_label_and_are_named():
    failed = row(0, 15, label=-1, error=InferenceError.NOT_FINITE)
    found = tally(np.array([row(), failed, failed], dtype=np.int16))
    assert found.errors == {"not-finite": 2}
    assert sum(found.labels) == 1
    assert sum(found.confidence) == found.frames == 3


def test_an_empty_window_counts_nothing():
    found = tally(np.empty((0, engine.COLUMNS), dtype=np.int16))
    assert (found.frames, sum(found.confidence), len(found.features)) == (0, 0, 80)
