"""Which places are active and when they act: drawn by place and device, and by nothing else."""

from __future__ import annotations

import pytest

from devicesim.entropy import Entropy
from devicesim.scenario.checks import Buggify as Said
from devicesim.world import host_sites
from devicesim.world.buggify import SITES, Buggify


def run(activate=1.0, fire=0.25, seed=1):
    return Buggify(Entropy(seed), Said(activate=activate, fire=fire))


def acts(hand, site=host_sites.KIT_SLOW, times=200):
    return [hand.fires(site) for _ in range(times)]


def test_a_quarter_of_the_places_is_active_and_another_quarter_in_another_run():
    active = [[c.active for c in run(0.25, seed=seed).counts()] for seed in range(40)]
    share = sum(map(sum, active)) / (40 * len(SITES))
    assert 0.18 < share < 0.32
    assert len({tuple(row) for row in active}) > 30


def test_an_active_place_acts_as_often_as_asked_and_a_rare_one_more_rarely():
    hand = run().hand("kiosk-0000")
    assert 30 < sum(acts(hand)) < 70
    assert sum(acts(hand, host_sites.CRASH_BEFORE_ACK, 2000)) < 20


def test_what_is_not_active_neither_acts_nor_counts():
    one = run(activate=0.0)
    assert not any(acts(one.hand("kiosk-0000")))
    assert all((c.active, c.passed, c.fired) == (False, 0, 0) for c in one.counts())


def test_passages_and_acts_are_counted_over_all_devices():
    one = run()
    found = acts(one.hand("a")) + acts(one.hand("b"))
    (count,) = [c for c in one.counts() if c.site is host_sites.KIT_SLOW]
    assert (count.passed, count.fired) == (400, sum(found))


@pytest.mark.parametrize("other", ["another device", "another place"])
def test_nobody_elses_luck_changes(other):
    alone = acts(run().hand("a"))
    one = run()
    if other == "another device":
        acts(one.hand("b"))
    hand = one.hand("a")
    if other == "another place":
        acts(hand, host_sites.REORDERED)
    assert acts(hand) == alone


def test_how_much_is_within_bounds():
    hand = run().hand("a")
    found = {hand.below(host_sites.TIMER_LATE, 5) for _ in range(200)}
    assert found == {0, 1, 2, 3, 4}
