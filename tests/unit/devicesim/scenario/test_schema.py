from __future__ import annotations

from pathlib import Path

import pytest

from devicesim.entropy import Entropy
from devicesim.scenario import expand, load

ROOT = Path(__file__).parents[4]
FILES = sorted(path.name for path in (ROOT / "scenarios").glob("*.yaml"))
TEXT = """\
scenario: x
fleet:
  - {group: a, count: 2, profile: p, link: l}
  - {group: b, count: 2, profile: p, link: l, bundle: gauge@1.1.0, telemetry: {window: 5m}}
bundles:
  - {id: gauge, version: 1.0.0, path: one}
  - {id: gauge, version: 1.1.0, path: two}
timeline:
  - {at: 1h, do: device.reboot, target: all}
  - {at: 1h, do: clock.lose_rtc, target: all}
  - {at: 2h, do: device.reboot, target: all}
  - {at: 3h, id: third, do: device.reboot, target: all}
"""


def shipped(name):
    return load(name, (), lambda path: (ROOT / "scenarios" / path).read_text())


@pytest.mark.parametrize("name", FILES)
def test_what_is_shipped_loads(name):
    scenario = shipped(name)
    assert f"{scenario.name}.yaml" == name
    assert scenario.title
    assert scenario.description
    text = (ROOT / "scenarios" / name).read_text()
    assert text.startswith("# "), "the head says what one learns"
    assert "What one learns" in text
    assert "Sources" in text or "\nextends: " in text, "a twin's sources are its base's"


@pytest.mark.parametrize("name", FILES)
def test_every_target_of_what_is_shipped_hits_somebody(name):
    scenario = shipped(name)
    profiles = {group.profile for group in scenario.fleet}
    entropy = Entropy(scenario.seed)
    labels = [device.labels for device in expand(scenario, profiles, entropy)]
    for index, action in enumerate(scenario.timeline):
        if action.target is not None:
            hit = action.target.select(labels, entropy, scenario.occasion(index))
            assert hit, f"{name}: {action.target} hits nobody"


def test_the_sizes_that_were_promised():
    assert sum(group.count for group in shipped("first-light.yaml").fleet) == 2_000
    att = shipped("att-2024.yaml")
    assert sum(group.count for group in att.fleet) == 10_000
    assert att.clock.duration_ns // att.telemetry.window_ns == 96
    assert att.telemetry.frames >= 1


def test_every_device_of_the_outage_is_brought_back_once():
    att = shipped("att-2024.yaml")
    entropy = Entropy(att.seed)
    profiles = {group.profile for group in att.fleet}
    labels = [device.labels for device in expand(att, profiles, entropy)]
    back = [
        device
        for index, action in enumerate(att.timeline)
        if action.verb == "heal" and action.target is not None
        for device in action.target.select(labels, entropy, att.occasion(index))
    ]
    assert sorted(back) == list(range(10_000)), "the cohorts must neither overlap nor leave gaps"


def test_lookups():
    scenario = load(TEXT)
    first, second = scenario.fleet
    assert scenario.group("b") is second
    assert scenario.bundle("gauge@1.0.0").path == "one"
    assert scenario.factory_bundle(first) is scenario.bundles[0]
    assert scenario.factory_bundle(second) is scenario.bundles[1]
    assert scenario.telemetry_of(first) is scenario.telemetry
    assert scenario.telemetry_of(second) is second.telemetry
    for lookup in (scenario.group, scenario.bundle):
        with pytest.raises(KeyError):
            lookup("none")
    bare = load(TEXT.split("bundles:", maxsplit=1)[0].replace(", bundle: gauge@1.1.0", ""))
    assert bare.factory_bundle(bare.fleet[0]) is None


def test_another_verb_shifts_no_occasion():
    scenario = load(TEXT)
    assert [scenario.occasion(index) for index in range(4)] == [
        "device.reboot.0",
        "clock.lose_rtc.0",
        "device.reboot.1",
        "third",
    ]


def test_a_loaded_scenario_can_be_written_down():
    assert '"name":"att-2024"' in shipped("att-2024.yaml").model_dump_json()
