from __future__ import annotations

import pytest

from devicesim.scenario import ScenarioError, load

FLEET = """
scenario: lab
fleet:
  - {{group: kiosk, count: 2, profile: rpi4-kiosk, link: {link}{more}}}
"""


def group(link="fcc-dsl", more="", **known):
    return load(FLEET.format(link=link, more=more), (), None, **known).fleet[0]


def refusal(link="fcc-dsl", more=""):
    with pytest.raises(ScenarioError) as caught:
        group(link, more)
    return caught.value.problems[0]


def test_a_path_is_a_recording_that_is_followed_at_once():
    presence = group(more=", presence: yesterday.csv").presence
    assert presence is not None
    assert (presence.file, presence.of, presence.reconnect) == ("yesterday.csv", None, "recorded")


def test_a_mapping_says_whose_presence_and_how():
    more = ", presence: {file: a.csv, of: meter, reconnect: agent}"
    presence = group(more=more).presence
    assert (presence.of, presence.reconnect) == ("meter", "agent")


def test_no_recording_is_the_default():
    assert group().presence is None


@pytest.mark.parametrize("wrong", ["[a.csv]", "7", "''", "{of: kiosk}", "{file: a.csv, when: now}"])
def test_what_is_no_recording_is_refused_where_it_stands(wrong):
    problem = refusal(more=f", presence: {wrong}")
    assert problem.path[:3] == ("fleet", 0, "presence"), problem
    assert problem.line == 4


def test_a_trace_is_a_link_class_of_its_own():
    assert group("{trace: way/to/work.mahi}", links=["fcc-dsl"]).links == {
        "trace:way/to/work.mahi": 1.0
    }


def test_traces_and_classes_mix():
    links = group("{mix: {'trace:a.csv': 50%, fcc-dsl: 50%}}", links=["fcc-dsl"]).links
    assert links == {"trace:a.csv": 0.5, "fcc-dsl": 0.5}


@pytest.mark.parametrize("wrong", ["{trace: 7}", "{trace: ''}", "{trace: a, mix: {a: 1}}"])
def test_what_is_no_trace_is_refused(wrong):
    assert refusal(wrong).path[:3] == ("fleet", 0, "link")
