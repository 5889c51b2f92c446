from __future__ import annotations

import numpy as np

from devicesdk.inference import engine
from devicesdk.inference.engine import InferenceError, Outputs


def test_the_columns_of_a_row_do_not_overlap_and_fill_it():
    columns = [
        engine.COLUMN_READING,
        engine.COLUMN_LABEL,
        engine.COLUMN_CONFIDENCE,
        engine.COLUMN_ENTROPY,
        engine.COLUMN_ERROR,
        *range(engine.COLUMN_FEATURES, engine.COLUMN_FEATURES + engine.FEATURES),
    ]
    assert columns == list(range(engine.COLUMNS))


def test_outputs_name_their_columns():
    rows = np.arange(2 * engine.COLUMNS, dtype=np.int16).reshape(2, -1)
    outputs = Outputs(rows)
    assert outputs.readings.tolist() == [0, 13]
    assert outputs.errors.tolist() == [4, 17]
    assert outputs.features.tolist() == [list(range(5, 13)), list(range(18, 26))]


def test_error_codes_have_a_word_for_the_wire():
    words = ["ok", "not-finite", "timeout", "failed", "no-answer"]
    assert [code.label for code in InferenceError] == words
