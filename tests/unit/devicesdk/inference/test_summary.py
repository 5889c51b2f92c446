"""Eight statistics of any input, and the row that telemetry sees."""

import numpy as np

from devicesdk.inference.preprocess import Edges
from devicesdk.inference.summary import STATISTICS, in_units, row_of, statistics
from devicesdk.inference.tasks import Meaning
from tests_kit.tensor_models import classify_task


def told(*arrays):
    sample = {str(index): np.array(array) for index, array in enumerate(arrays)}
    return dict(zip(STATISTICS, statistics(sample).tolist(), strict=True))


def test_a_row_is_described_by_eight_numbers():
    found = told([0.0, 2.0, 4.0, -2.0])
    assert found == {
        "mean": 1.0, "deviation": np.sqrt(5.0), "lowest": -2.0, "highest": 4.0, "median": 1.0, "zeros": 0.25,
        "roughness": 10 / 3, "length": 4.0,
    }  # fmt: skip


def test_all_inputs_count_as_one_row_and_types_do_not_matter():
    assert told([[1, 2]], [3.0]) == told([1.0, 2.0, 3.0])


def test_what_is_not_finite_counts_as_zero_and_nothing_as_nothing():
    assert told([np.nan, np.inf, 4.0])["mean"] == 4 / 3
    assert set(told([]).values()) == {0.0}


def test_units_are_powers_of_ten_and_sizes_are_bounded():
    found = in_units(np.array([1.2345, -7.0, 1e300, 0, 0, 0, 0, 2048]), (-3, 0, 0, 0, 0, 0, 0, 2))
    assert found == [1234, -7, 10**12, 0, 0, 0, 0, 20]


def test_a_row_has_the_columns_of_an_agents_row():
    edges = Edges(
        confidence=tuple(range(50, 1000, 50)),
        entropy=tuple(range(60, 960, 60)),
        features=tuple(tuple(range(1, 10)) for _ in range(8)),
    )
    sample = {"x": np.full((1, 8, 8), 3.0, np.float32)}
    row = row_of(classify_task(), edges, sample, Meaning(750, 3, 999, 61))
    assert row == [750, 19, 1, 3, 0, 3, 3, 3, 0, 0, 9, 0]
    failed = row_of(classify_task(), edges, sample, Meaning(0, -1, 0, 1000, finite=False))
    assert failed == [0, 0, 15, 3, 0, 3, 3, 3, 0, 0, 9, 1]
