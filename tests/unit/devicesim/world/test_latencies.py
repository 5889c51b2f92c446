import pytest

from devicesim.world.latencies import Latencies, nearest_rank


@pytest.mark.parametrize(
    ("share", "expected"), [(0.0, 1), (0.5, 50), (0.505, 51), (0.99, 99), (0.991, 100), (1.0, 100)]
)
def test_a_percentile_is_a_value_that_somebody_had(share, expected):
    assert nearest_rank(list(range(1, 101)), share) == expected


def test_there_is_no_percentile_of_nothing():
    assert Latencies().percentile(0.5) is None


def test_samples_are_found_by_when_they_were_over():
    latencies = Latencies()
    for end, took in ((10, 5), (20, 9), (30, 1)):
        latencies.add(end, took)
    assert len(latencies) == 3
    assert latencies.between(10, 30) == [5, 9]
    assert latencies.between() == [1, 5, 9]
    assert latencies.percentile(1.0) == 9
