from __future__ import annotations

import pytest

from devicesim.scenario import ScenarioError, load

TEXT = """\
scenario: x
fleet:
  - {group: kiosk, count: 20, profile: rpi4, link: wifi}
timeline:
  - {at: 1h, for: 1h, do: heat.wave, by_c: 5, target: all}
"""


@pytest.mark.parametrize(
    ("old", "new", "path", "expected", "nearest"),
    [
        ("count: 20", "count: 20_000", "fleet.0.count", "a whole number (number", "20000"),
        ("count: 20", "count: 2.0", "fleet.0.count", "a whole number", "2"),
        ("count: 20", "count: -1", "fleet.0.count", "a number of at least 1", ""),
        ("count: 20", "count: 2000001", "fleet.0.count", "a number of at most 1e+06", ""),
        ("count: 20", "cuont: 20", "fleet.0.cuont", "one of the keys group, count", "count"),
        ("count: 20, ", "", "fleet.0.count", "the key count: number of devices", ""),
        ("profile: rpi4", "profile: 4", "fleet.0.profile", "text", "'4'"),
        ("scenario: x", "scenario: x\nscale: .inf", "scale", "a number", ""),
        ("scenario: x", "scenario: x\nscale: 2%", "scale", "a number (multiplies", "0.02"),
        ("scenario: x", "scenario: x\nscale: 1/2", "scale", "a number", ""),
        ("scenario: x", "scenario: x\nscale: 0,5", "scale", "a number", ""),
        ("scenario: x", "scenario: x\nscale: 1_000", "scale", "a number", "1000"),
        ("scenario: x", "scenario: x\nscale: 1e999", "scale", "a finite number", ""),
        ("scenario: x", "scenario: x\nclock: 5", "clock", "a mapping of keys", ""),
        ("scenario: x", "scenario: x\nclock: {mode: reel}", "clock.mode", "'virtual'", "real"),
        (
            "scenario: x",
            "scenario: x\nbundles: 3",
            "bundles",
            "a list (model bundles",
            "",
        ),
        ("scenario: x", "scenario: x\nregions: [a]", "regions", "a mapping of keys", ""),
        ("scenario: x", "scenario: x\nregions: {a b: {share: 1}}", "regions.a b", "a name", "a-b"),
        (
            "scenario: x",
            "scenario: x\nregions: {a: {share: 1, weather: costal}}",
            "regions.a.weather",
            "a weather",
            "coastal",
        ),
        (
            "scenario: x",
            "scenario: x\nregions: {a: {share: 1, weather: {mean: 3}}}",
            "regions.a.weather.mean",
            "one of the keys mean_c",
            "mean_c",
        ),
        ("scenario: x", "scenario: x\ntitle: " + "x" * 200, "title", "text of at most", ""),
        ("do: heat.wave", "do: heatwave", "timeline.0.do", "one of the faults", "heat.wave"),
        ("do: heat.wave, ", "", "timeline.0", "the key do with a fault", ""),
        ("do: heat.wave", "do: [a]", "timeline.0.do", "one of the faults", ""),
        ("by_c: 5", "by: 5", "timeline.0.by", "one of the keys", "by_c"),
        ("by_c: 5", "by_c: warm", "timeline.0.by_c", "a number (how much", ""),
        ("for: 1h, ", "", "timeline.0", "for, because heat.wave must", ""),
        ("target: all", "target: all, once: yes", "timeline.0.once", "true or false", "true"),
        ("  - {at: 1h", "  - 5\n  - {at: 1h", "timeline.0", "a mapping", ""),
    ],
)
def test_words_for_every_way_to_be_wrong(old, new, path, expected, nearest):
    assert old in TEXT
    with pytest.raises(ScenarioError) as caught:
        load(TEXT.replace(old, new, 1))
    (problem,) = caught.value.problems
    assert ".".join(map(str, problem.path)) == path, caught.value.render()
    assert problem.expected.startswith(expected), caught.value.render()
    assert problem.nearest == nearest, caught.value.render()
    assert problem.line > 0


def test_no_name_of_our_classes_is_shown():
    for old, new in [("scenario: x", "scenario: x\nclock: 5"), ("do: heat.wave", "do: sun")]:
        with pytest.raises(ScenarioError) as caught:
            load(TEXT.replace(old, new, 1))
        for word in ("Clock", "HeatWave", "Sun", "pydantic", "input_type", "ctx"):
            assert word not in caught.value.render(), caught.value.render()
