from __future__ import annotations

import pytest

from devicesim.entropy import Entropy
from devicesim.scenario import expand, load
from devicesim.scenario.population import group_count

PROFILES = {"rpi4", "phone"}
PHONES = (
    "  - {group: phone, count: 200, profile: phone, link: {mix: {good: .7, poor: .3}},"
    " labels: {cohort: {mix: {a: 10%, b: 90%}}, site: roof}, vary: {soc0: 'uniform(.6, 1)'}}\n"
)
KIOSKS = "  - {group: kiosk, count: 50, profile: rpi4, link: dsl}\n"
HEAD = "scenario: x\nregions: {east: {share: 60%}, west: {share: 40%}}\nfleet:\n"


def fleet(*groups, overrides=(), seed=1):
    scenario = load(HEAD + "".join(groups), overrides)
    return {spec.id: spec for spec in expand(scenario, PROFILES, Entropy(seed))}


def lot(spec):
    return spec.link, spec.region, spec.labels, spec.vary


def test_devices_are_concrete():
    specs = fleet(PHONES)
    spec = specs["phone-0007"]
    assert (spec.index, spec.group, spec.profile) == (7, "phone", "phone")
    assert spec.labels["site"] == "roof"
    assert spec.labels["id"] == "phone-0007"
    assert spec.labels["region"] == spec.region
    assert 0.6 <= spec.vary["soc0"] < 1.0


def test_shares_come_out_about_right():
    specs = list(fleet(PHONES).values())
    assert 0.6 < sum(spec.link == "good" for spec in specs) / 200 < 0.8
    assert 0.5 < sum(spec.region == "east" for spec in specs) / 200 < 0.7
    assert 0.04 < sum(spec.labels["cohort"] == "a" for spec in specs) / 200 < 0.18


def test_another_group_device_label_or_knob_changes_nobody_else():
    before = fleet(PHONES)
    for after in (
        fleet(KIOSKS, PHONES),
        fleet(PHONES, KIOSKS),
        fleet(PHONES.replace("count: 200", "count: 201")),
        fleet(PHONES, overrides=["scale=3"]),
    ):
        for name, spec in before.items():
            assert lot(after[name]) == lot(spec), f"{name} has other luck"
    more = fleet(
        PHONES.replace("vary: {", "vary: {ambient_c: 'normal(30, 6)', ").replace(
            "labels: {", "labels: {floor: {mix: {one: .5, two: .5}}, "
        )
    )
    for name, spec in before.items():
        assert more[name].vary["soc0"] == spec.vary["soc0"]
        assert more[name].labels["cohort"] == spec.labels["cohort"]
        assert (more[name].link, more[name].region) == (spec.link, spec.region)


def test_another_seed_is_other_luck():
    assert [lot(s) for s in fleet(PHONES).values()] != [
        lot(s) for s in fleet(PHONES, seed=2).values()
    ]


@pytest.mark.parametrize(
    ("scale", "phones", "kiosks"),
    [("1", 200, 50), ("0.1", 20, 5), ("0.001", 1, 1), ("2", 400, 100)],
)
def test_scale_keeps_the_first_and_at_least_one(scale, phones, kiosks):
    specs = list(fleet(PHONES, KIOSKS, overrides=[f"scale={scale}"]))
    assert specs == [f"phone-{i:04d}" for i in range(phones)] + [
        f"kiosk-{i:04d}" for i in range(kiosks)
    ]


def test_a_group_can_live_in_one_place():
    specs = fleet(KIOSKS.replace("link: dsl", "link: dsl, region: west"))
    assert {spec.region for spec in specs.values()} == {"west"}
    nowhere = load("scenario: x\nfleet:\n" + KIOSKS)
    assert expand(nowhere, PROFILES, Entropy(1))[0].region == "everywhere"


def test_draws_are_kept_in_range():
    specs = fleet(KIOSKS.replace("link: dsl", "link: dsl, vary: {soc0: 'normal(1, .5)'}"))
    assert max(spec.vary["soc0"] for spec in specs.values()) == 1.0


def test_a_profile_that_is_not_there():
    scenario = load(HEAD + KIOSKS)
    with pytest.raises(ValueError, match="expected a known profile for group 'kiosk'"):
        expand(scenario, {"phone"}, Entropy(1))


def test_too_many_devices():
    scenario = load(HEAD + KIOSKS.replace("count: 50", "count: 1000000"), ["scale=2"])
    with pytest.raises(ValueError, match="lower scale"):
        expand(scenario, PROFILES, Entropy(1))


def test_counts_round():
    group = load(HEAD + KIOSKS).fleet[0]
    assert [group_count(group, scale) for scale in (1, 0.11, 0.001)] == [50, 6, 1]
