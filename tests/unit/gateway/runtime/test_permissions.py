"""The table of what each verb needs: nothing is missing, and a typing error protects nobody."""

from typing import get_args

import pytest

from gateway.core.access.roles import Permission
from gateway.core.access.tokens import Asker, Role
from gateway.runtime import verbs
from gateway.runtime.permissions import (
    IN_SUM,
    NEEDS,
    in_scope,
    second_person,
    subject_of,
    tag_of,
)

EU = Asker("eva", Role.ADMIN, (("region", "eu"),))
READS = {Permission.READ, Permission.AUDIT, Permission.TOKENS, Permission.DEBUG}


def every_verb():
    return [
        found
        for found in vars(verbs).values()
        if isinstance(found, type) and issubclass(found, verbs.Verb) and found is not verbs.Verb
    ]


@pytest.mark.parametrize("verb", every_verb(), ids=lambda verb: verb.__name__)
def test_every_verb_needs_a_permission_and_can_be_asked_for(verb):
    assert verb in NEEDS, f"nobody may {tag_of(verb)}: give it a row in NEEDS"
    assert verb in get_args(verbs.AnyVerb), f"no door takes {tag_of(verb)}"
    kinds = [verbs.Reading, verbs.Mutation, verbs.Clerical]
    found = [kind for kind in kinds if verb in get_args(kind)]
    assert len(found) == 1, f"{tag_of(verb)} is of {len(found)} kinds, expected one"


def test_no_mutation_is_done_by_whoever_may_only_look():
    looking = [tag_of(verb) for verb in get_args(verbs.Mutation) if NEEDS[verb] == Permission.READ]
    assert looking == []
    assert {NEEDS[verb] for verb in get_args(verbs.Reading)} <= READS


def test_tags_are_names_of_their_own():
    tags = [tag_of(verb) for verb in every_verb()]
    assert len(set(tags)) == len(tags)


def test_a_name_that_is_no_mutation_would_protect_nothing_and_is_refused():
    assert second_person(["kill", "rollout.create"]) == {"kill", "rollout.create"}
    with pytest.raises(ValueError, match=r"did you mean rollout\.create\?"):
        second_person(["rollout-create"])
    for name in ("overview", "approval.decide", "zzzzzzzz"):
        with pytest.raises(ValueError, match="expected verbs in second_person"):
            second_person([name])


def test_a_scope_allows_what_names_its_labels():
    own, other = {"region": "eu", "line": "2"}, {"region": "us"}
    assert in_scope(EU, verbs.EnrollDevice(device="d", labels=own))
    assert not in_scope(EU, verbs.EnrollDevice(device="d", labels=other))
    assert not in_scope(EU, verbs.EnrollDevice(device="d"))
    assert in_scope(EU, verbs.CreateRollout(id="r", bundle="b@1", selector=own))
    assert not in_scope(EU, verbs.CreateRollout(id="r", bundle="b@1"))
    assert not in_scope(EU, verbs.Kill(feature="x"))
    assert in_scope(Asker("ana", Role.ADMIN), verbs.Kill(feature="x"))


def test_questions_about_single_devices_are_not_answered_in_sum():
    assert not IN_SUM & {verbs.ListDevices, verbs.ShowDevice, verbs.ListDebug, verbs.ShowDebug}


def test_a_subject_is_whom_it_concerns():
    assert subject_of(verbs.SteerRollout(rollout="r1", how="pause")) == "r1"
    assert subject_of(verbs.Kill(feature="gauge")) == "gauge"
    assert subject_of(verbs.Overview()) == ""
