import statistics

import pytest

from devicesim.entropy import BLOCK_DRAWS, Entropy


def test_a_stream_depends_on_its_names_alone_whoever_else_draws():
    alone = Entropy(7).stream("link", "kiosk-1")
    expected = [alone.uniform() for _ in range(3 * BLOCK_DRAWS)]
    crowd = Entropy(7)
    mine, other = crowd.stream("link", "kiosk-1"), crowd.stream("link", "kiosk-2")
    found = []
    for _ in range(3 * BLOCK_DRAWS):
        other.uniform()
        found.append(mine.uniform())
        crowd.stream("heat", "x").uniform()
    assert found == expected


def test_another_seed_purpose_or_name_is_other_luck():
    first = {Entropy(s).stream(p, i).uniform() for s in (1, 2) for p in "ab" for i in "xy"}
    assert len(first) == 8


def test_the_distributions_have_their_moments():
    stream = Entropy(3).stream("moments")
    n = 20_000
    assert statistics.fmean(stream.uniform(2, 4) for _ in range(n)) == pytest.approx(3, abs=0.02)
    normal = [stream.normal(5, 2) for _ in range(n)]
    assert statistics.fmean(normal) == pytest.approx(5, abs=0.06)
    assert statistics.stdev(normal) == pytest.approx(2, abs=0.04)
    assert statistics.fmean(stream.exponential(3) for _ in range(n)) == pytest.approx(3, abs=0.1)
    assert statistics.median(stream.lognormal(10, 0.5) for _ in range(n)) == pytest.approx(
        10, rel=0.03
    )
    assert statistics.fmean(stream.weibull(2, 1) for _ in range(n)) == pytest.approx(2, abs=0.07)
    assert statistics.fmean(stream.chance(0.3) for _ in range(n)) == pytest.approx(0.3, abs=0.02)
    assert {stream.integer(3) for _ in range(100)} == {0, 1, 2}


def test_drawing_from_nothing_is_refused():
    with pytest.raises(ValueError, match="positive count"):
        Entropy(1).stream("x").integer(0)
