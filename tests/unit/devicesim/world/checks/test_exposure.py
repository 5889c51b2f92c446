"""The exposure cap is held against buckets that the check computes itself."""

from __future__ import annotations

import json

import pytest
from openfeature.contrib.tools.flagd.core import FlagdCore
from openfeature.evaluation_context import EvaluationContext

from devicesdk.agent.effects import RunModel
from devicesdk.wire.timebase import MINUTE
from devicesim.world.checks.exposure import CandidateRan, ExperimentPromoted, ExposureCap, bucket
from gateway.core.effects import Note
from gateway.core.experiments import notes
from tests_kit import worlds

WORDS = (
    "experiments: [{{id: e1, group: kiosk, bundle: gauge@1.1.0, production: gauge@1.0.0, at: 10m,"
    " share: {share}, mode: {mode}}}]\n"
)


def check_of(mode="bandit", share="100%", kind=ExposureCap):
    text = worlds.scenario_text(WORDS.format(mode=mode, share=share), count=40)
    world = worlds.make_world(text)
    return world, kind(world)


def allow(check, share, cap, now=1):
    check.gateway_noted(Note(notes.ALLOCATED, "e1", share, cap), now)


def test_buckets_are_those_of_the_evaluator():
    for weight in (100, 2_500, 9_000):
        split = {"fractional": [["in", weight], ["out", 10_000 - weight]]}
        flag = {
            "state": "ENABLED", "variants": {"in": {"x": 1}, "out": {"x": 0}},
            "defaultVariant": "out", "targeting": split,
        }  # fmt: skip
        core = FlagdCore()
        core.set_flags(json.dumps({"flags": {"experiment.e1": flag}}))
        for number in range(300):
            device = f"kiosk-{number:04}"
            context = EvaluationContext(targeting_key=device)
            found = core.resolve_object_value("experiment.e1", {}, context).value["x"]
            assert found == (bucket("e1", device) < weight), device


def test_a_cap_that_doubles_holds_and_one_that_jumps_does_not():
    _, check = check_of()
    for cap in (100, 200, 400, 400, 800):
        allow(check, cap // 2, cap)
    assert check.held
    allow(check, 100, 3_000)
    assert not check.held


def test_a_cap_doubles_at_each_look_also_where_the_share_stays_and_nothing_is_said():
    look = 15 * MINUTE
    _, check = check_of()
    for looks, cap in ((0, 100), (1, 200), (3, 800), (4, 1_600)):
        allow(check, 100, cap, 1 + looks * look)
    assert check.held, check.stories()
    allow(check, 100, 6_400, 1 + 5 * look)
    assert not check.held, "two doublings at one look"


@pytest.mark.parametrize(("share", "cap"), [(200, 100), (150, 150)])
def test_a_bandit_begins_with_one_percent_and_never_gives_more_than_its_cap(share, cap):
    _, check = check_of()
    allow(check, share, cap)
    assert not check.held


def test_a_shadow_may_begin_with_its_share():
    _, check = check_of("shadow", "50%")
    allow(check, 5_000, 5_000)
    assert check.held
    _, check = check_of("shadow", "50%")
    allow(check, 6_000, 6_000)
    assert not check.held


def test_only_devices_below_the_highest_share_may_run_it():
    world, check = check_of()
    allow(check, 100, 100)
    allow(check, 200, 200)
    allow(check, 100, 200)
    inside = [h for h in world.hosts if bucket("e1", h.device) < 5_000]
    outside = [h for h in world.hosts if bucket("e1", h.device) >= 5_000]
    check._highest["e1"] = 5_000
    for host in inside:
        check.tried(host, RunModel(1, "b", 4, 1), 5)
    assert check.held
    check.tried(outside[0], RunModel(1, "b", 4, 1), 5)
    assert not check.held
    assert str(bucket("e1", outside[0].device)) in check.stories()[0]


def test_sightings():
    world, ran = check_of(kind=CandidateRan)
    assert not ran.held
    ran.tried(world.hosts[0], RunModel(1, "b", 4, 1), 5)
    assert ran.held
    _, promoted = check_of(kind=ExperimentPromoted)
    promoted.gateway_noted(Note(notes.STOPPED, "e1"), 5)
    assert not promoted.held
    promoted.gateway_noted(Note(notes.PROMOTED, "e1"), 5)
    assert promoted.held
