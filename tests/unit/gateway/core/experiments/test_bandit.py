"""Allocation of a candidate: the cap, the freeze, and what Thompson sampling gives below them."""

from __future__ import annotations

import pytest

from gateway.core.experiments import bandit
from gateway.core.experiments.bandit import Brakes, Tally
from gateway.core.experiments.luck import Luck

BRAKES = Brakes()


def look(candidate, production, cap=0.01, fresh=10, place=1, cap_max=1.0):
    luck = Luck(7, "e1", place)
    return bandit.look(luck, candidate, production, BRAKES, cap, cap_max, fresh=fresh)


def test_the_cap_doubles_while_nothing_is_wrong_and_ends_at_its_maximum():
    cap, caps = 0.01, []
    for place in range(9):
        cap = look(Tally(50, 0), Tally(1_000, 20), cap, place=place, cap_max=0.5).cap
        caps.append(cap)
    assert caps == pytest.approx([0.02, 0.04, 0.08, 0.16, 0.32, 0.5, 0.5, 0.5, 0.5])


def test_a_share_never_exceeds_its_cap():
    for place in range(20):
        step = look(Tally(300, 0), Tally(300, 30), cap=0.04, place=place)
        assert step.share <= step.cap == 0.08


def test_a_fleet_that_is_silent_is_not_taken_for_one_that_is_well():
    cap = 0.01
    for place in range(12):
        cap = look(Tally(), Tally(500, 10), cap, fresh=0, place=place).cap
    assert cap == bandit.BLIND_SHARE_MAX


def test_a_safety_metric_that_moves_the_wrong_way_freezes_the_cap_and_takes_the_share_back():
    step = look(Tally(20, 3), Tally(1_000, 20), cap=0.16)
    assert step.frozen
    assert step.cap == 0.16
    assert step.share <= bandit.SHARE_FIRST


def test_worse_than_production_freezes_even_where_it_is_tolerated():
    lenient = Brakes(tolerated=0.3)
    assert bandit.frozen(Tally(200, 40), Tally(2_000, 20), lenient)
    assert not bandit.frozen(Tally(200, 40), Tally(2_000, 400), lenient)


def test_thompson_prefers_the_better_arm_and_is_undecided_between_equals():
    def matched(candidate, production):
        return bandit.matched(Luck(7, "e", 0), candidate, production, 0.02)

    assert matched(Tally(500, 1), Tally(500, 25)) > 0.95
    assert matched(Tally(500, 25), Tally(500, 1)) < 0.05
    assert 0.3 < matched(Tally(1_000, 20), Tally(1_000, 20)) < 0.7


def test_the_same_look_allocates_the_same():
    assert look(Tally(90, 2), Tally(900, 20)) == look(Tally(90, 2), Tally(900, 20))
