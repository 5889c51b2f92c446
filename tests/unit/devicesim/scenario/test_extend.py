from __future__ import annotations

import json

import jsonschema
import pytest

from devicesdk.wire.timebase import HOUR, MINUTE, SECOND
from devicesim.scenario import Scenario, ScenarioError, load, schema_text
from devicesim.scenario.document import read_document
from devicesim.scenario.extend import EXTENDS_MAX

BASE = """\
scenario: storm
title: As it happened
fleet:
  - {group: kiosk, count: 3, profile: rpi4-kiosk, link: fcc-dsl}
  - {group: phone, count: 5, profile: handheld, link: lte-good}
agent: {keepalive: 60s, backoff: {base: 1s, cap: 10s, jitter: none}}
timeline:
  - {id: cut, at: 1h, for: 10m, do: partition, target: all}
  - {at: 2h, do: heal, target: all}
  - {id: heat, at: 3h, for: 1h, do: heat.wave, target: group=phone, by_c: 5}
checks:
  finally: [{stuck: '== 0'}]
"""


def shelf(**files: str):
    """Files by their name: ``storm_yaml`` is storm.yaml."""
    named = {name.replace("_", "."): text for name, text in files.items()}
    named.setdefault("storm.yaml", BASE)

    def read(path: str) -> str:
        if path not in named:
            raise FileNotFoundError(2, "No such file or directory")
        return named[path]

    return read


def twin(text: str, **files: str):
    return load("twin.yaml", (), shelf(twin_yaml=text, **files))


def complaint(text: str, **files: str) -> str:
    with pytest.raises(ScenarioError) as caught:
        twin(text, **files)
    return caught.value.render(100)


def test_a_twin_is_its_base_but_for_what_it_says():
    made = twin(
        "extends: storm.yaml\nscenario: storm-jitter\n"
        "change: {agent.backoff.jitter: full, fleet.phone.count: 7, timeline.cut.for: 20m}\n"
    )
    assert (made.name, made.title) == ("storm-jitter", "As it happened")
    assert made.agent.backoff.jitter == "full"
    assert made.agent.keepalive_ns == 60 * SECOND
    assert [group.count for group in made.fleet] == [3, 7]
    assert made.timeline[0].for_ns == 20 * MINUTE
    assert len(made.timeline) == 3


def test_a_key_of_its_own_replaces_the_whole_of_the_bases():
    made = twin("extends: storm.yaml\nscenario: calm\ntimeline: []\n")
    assert made.timeline == ()


def test_items_go_by_name_or_by_the_place_that_they_have_in_the_base():
    made = twin("extends: storm.yaml\nscenario: s\nremove: [timeline.1, timeline.cut, checks]\n")
    assert [action.verb for action in made.timeline] == ["heat.wave"]
    assert made.checks == Scenario.model_fields["checks"].get_default(call_default_factory=True)


def test_items_are_added_at_the_end():
    made = twin(
        "extends: storm.yaml\nscenario: s\n"
        "add: {timeline: [{at: 5h, do: heal, target: all}], flags: [{at: 1h, set: {new: {percent: 5}}}]}\n"
    )
    assert made.timeline[-1].at_ns == 5 * HOUR
    assert len(made.timeline) == 4
    assert len(made.flags) == 1


def test_a_base_may_stand_on_another():
    made = twin(
        "extends: mid.yaml\nscenario: s\nchange: {agent.keepalive: 10s}\n",
        mid_yaml="extends: storm.yaml\nscenario: mid\ntitle: Between\nchange: {fleet.0.count: 9}\n",
    )
    assert made.agent.keepalive_ns == 10 * SECOND
    assert (made.title, made.fleet[0].count) == ("Between", 9)


def test_a_base_is_sought_beside_the_file():
    files = {"a/b/twin.yaml": "extends: storm.yaml\nscenario: s\n", "a/b/storm.yaml": BASE}
    assert load("a/b/twin.yaml", (), files.__getitem__).title == "As it happened"


def test_overrides_come_last():
    read = shelf(twin_yaml="extends: storm.yaml\nscenario: s\nchange: {agent.keepalive: 10s}\n")
    assert load("twin.yaml", ("agent.keepalive=20s",), read).agent.keepalive_ns == 20 * SECOND


def test_what_a_twin_says_wrong_is_shown_in_the_twin():
    said = complaint("extends: storm.yaml\nscenario: s\nchange:\n  agent.backoff.jitter: lots\n")
    assert "twin.yaml:4:25  agent.backoff.jitter" in said
    assert "agent.backoff.jitter: lots" in said
    said = complaint(
        "extends: storm.yaml\nscenario: s\nadd: {timeline: [{at: 5, do: heal, target: all}]}\n"
    )
    assert "twin.yaml:3:23  timeline.3.at" in said


def test_a_key_that_the_change_made_on_its_way_is_shown_in_the_twin():
    said = complaint("extends: storm.yaml\nscenario: s\nchange:\n  agnet.backoff.jitter: full\n")
    assert "twin.yaml:4:3  agnet" in said
    assert "  agnet.backoff.jitter: full\n      |   ^" in said
    said = complaint(
        "extends: storm.yaml\nscenario: s\nchange: {broker.backlog: 9, broker.overlod.how: drop}\n"
    )
    assert "twin.yaml:3:29  broker.overlod" in said


def test_what_the_base_says_wrong_for_the_twin_is_shown_with_its_line():
    said = complaint("extends: storm.yaml\nscenario: s\nremove: [fleet.phone]\n")
    assert "storm.yaml:7" in said, "the heat wave of the base hits a group that is gone"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("extends: gone.yaml", ("gone.yaml", "no such file")),
        ("extends: [storm.yaml]", ("the name of a scenario file", "a list")),
        ("extends: twin.yaml", (f"at most {EXTENDS_MAX} files",)),
        ("extends: bad.yaml", ("bad.yaml:1", "YAML")),
        ("extends: twice.yaml", ("twice.yaml:2", "each key once")),
        ("extends: storm.yaml\nremove: [timeline.hot]", ("twin.yaml:3:10", "cut, heat", "'timeline.hot'")),
        ("extends: storm.yaml\nremove: [nothing]", ("a path that the base has",)),
        ("extends: storm.yaml\nremove: timeline", ("a list of paths",)),
        ("extends: storm.yaml\nchange: [agent]", ("values by path",)),
        ("extends: storm.yaml\nchange: {fleet.tablet.count: 1}", ("twin.yaml:3", "kiosk, phone")),
        ("extends: storm.yaml\nadd: {agent: [1]}", ("a list, to be added",)),
        ("extends: storm.yaml\nadd: [timeline]", ("lists by their key",)),
    ],
)  # fmt: skip
def test_nonsense_gets_a_place_and_a_word(text, words):
    said = complaint(
        f"scenario: s\n{text}\n", bad_yaml="a: [", twice_yaml="scenario: a\nscenario: b\n"
    )
    for word in words:
        assert word in said


def test_without_a_base_the_words_of_a_twin_are_unknown():
    assert "change" in complaint("scenario: s\nchange: {}\n")


def test_an_editor_accepts_what_loads():
    schema = json.loads(schema_text())
    good, _ = read_document("extends: storm.yaml\nscenario: s\nchange: {agent.keepalive: 10s}\n")
    jsonschema.validate(good.data, schema)
    for text in ("scenario: s\n", "scenario: s\nfleet: []\nchange: {a: 1}\n"):
        bad, _ = read_document(text)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(bad.data, schema)
