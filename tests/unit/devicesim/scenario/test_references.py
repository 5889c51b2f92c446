from __future__ import annotations

import pytest

from devicesim.scenario import ScenarioError, load

TEXT = """\
scenario: x
regions: {us-east: {share: 60%}, us-west: {share: 40%}}
fleet:
  - {group: kiosk, count: 20, profile: rpi4, link: wifi, labels: {cohort: {mix: {a: .5, b: .5}}}}
  - {group: phone, count: 20, profile: phone, link: {mix: {lte-good: .5, lte-poor: .5}}}
bundles:
  - {id: gauge, version: 1.0.0, path: one}
rollouts:
  - {id: r1, bundle: gauge@1.0.0, at: 1h}
flags:
  - {at: 1h, set: {dial: {percent: 5, target: group=kiosk}}}
  - {at: 2h, kill: dial}
timeline:
  - {id: cut, at: 1h, do: partition, target: link~lte & region=us-west}
  - {id: again, when: action.cut.count >= 1, do: heal, target: "cohort=a | id=kiosk-0007"}
checks:
  eventually:
    - {online_ratio: '>= .9', within: 5m, after: again}
    - {online_ratio: '>= .9', within: 5m, after: heal}
"""
NAMES = {"profiles": ("rpi4", "phone"), "links": ("wifi", "lte-good", "lte-poor")}


def test_the_sound_one_is_sound():
    load(TEXT, **NAMES)


@pytest.mark.parametrize(
    ("old", "new", "path", "nearest"),
    [
        ("profile: rpi4", "profile: rpi5", "fleet.0.profile", "rpi4"),
        ("link: wifi", "link: wify", "fleet.0.link", "wifi"),
        ("{lte-good: .5", "{lte-god: .5", "fleet.1.link.mix.lte-god", "lte-good"),
        ("link: wifi", "link: wifi, region: us-wst", "fleet.0.region", "us-west"),
        ("link: wifi", "link: wifi, bundle: gauge@1.0.1", "fleet.0.bundle", "gauge@1.0.0"),
        ("cohort: {mix", "region: {mix", "fleet.0.labels.region", None),
        ("group: phone", "group: kiosk", "fleet.1.group", ""),
        ("bundle: gauge@1.0.0", "bundle: gage@1.0.0", "rollouts.0.bundle", "gauge@1.0.0"),
        ("kill: dial", "kill: dail", "flags.1.kill", "dial"),
        (
            "path: one",
            "path: one, costs: {crashes: {flag: dail}}",
            "bundles.0.costs.crashes.flag",
            "dial",
        ),
        (
            "timeline:\n",
            "timeline:\n  - {at: 1h, do: boot.loop, target: all, bundle: gage@1.0.0}\n",
            "timeline.0.bundle",
            "gauge@1.0.0",
        ),
        ("target: group=kiosk}", "target: group=kisk}", "flags.0.set.dial.target", "kiosk"),
        ("target: link~lte", "target: link~lta", "timeline.0.target", "lte"),
        ("region=us-west", "region=us-wst", "timeline.0.target", "us-west"),
        ("cohort=a", "cohrt=a", "timeline.1.target", "cohort"),
        ("id=kiosk-0007", "id=kisk-0007", "timeline.1.target", "kiosk"),
        ("action.cut", "action.cute", "timeline.1.when", "cut"),
        ("action.cut.count", "action.again.count", "timeline.1.when", ""),
        ("action.cut.count >= 1", "rollout.r2.wave >= 1", "timeline.1.when", "r1"),
        ("action.cut.count >= 1", "region.us.online_ratio < 1", "timeline.1.when", None),
        ("id: again", "id: cut", "timeline.1.id", None),
        ("after: heal", "after: heel", "checks.eventually.1.after", "heal"),
    ],
)
def test_a_name_that_is_not_there(old, new, path, nearest):
    assert old in TEXT
    with pytest.raises(ScenarioError) as caught:
        load(TEXT.replace(old, new, 1), **NAMES)
    problems = {".".join(map(str, p.path)): p for p in caught.value.problems}
    assert path in problems, caught.value.render()
    if nearest is not None:
        assert problems[path].nearest == nearest
    assert problems[path].line > 0


def test_circles_of_any_length_are_told_once():
    lines = [
        f"  - {{id: a{i}, when: action.a{(i + 1) % 3}.active >= 1, do: plug, target: all}}"
        for i in range(3)
    ]
    with pytest.raises(ScenarioError) as caught:
        load(TEXT.split("timeline:", maxsplit=1)[0] + "timeline:\n" + "\n".join(lines) + "\n")
    (problem,) = caught.value.problems
    assert problem.found == "a0 waits for a1 waits for a2 waits for a0"


def test_waiting_in_a_row_is_no_circle():
    lines = ["  - {id: a0, at: 1h, do: plug, target: all}"] + [
        f"  - {{id: a{i}, when: action.a{i - 1}.count >= 1 and action.a0.count >= 1, do: plug,"
        " target: all}"
        for i in range(1, 4)
    ]
    load(TEXT.split("timeline:", maxsplit=1)[0] + "timeline:\n" + "\n".join(lines) + "\n")
