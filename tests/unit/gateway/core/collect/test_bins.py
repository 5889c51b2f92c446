"""Where histograms stand in a row: without holes, in the order of the wire."""

from itertools import pairwise

from gateway.core.collect.bins import BINS, HISTOGRAMS, LATENCY_INDEX, SIZES


def test_histograms_follow_each_other_without_a_hole():
    assert HISTOGRAMS[0][0] == 0
    assert HISTOGRAMS[-1][1] == BINS == sum(SIZES) == 132
    for (_, stop), (first, _) in pairwise(HISTOGRAMS):
        assert stop == first


def test_latency_is_the_third():
    assert HISTOGRAMS[LATENCY_INDEX] == (36, 52)
