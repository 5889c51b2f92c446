"""Requests that verbs are: all of them, as the API's own document has them."""

import re
from typing import get_args

import msgspec
import pytest

from devicesdk.wire.messages import UpdatePolicy
from gateway.client.routes import PREFIX, REVIVE, ROUTES, request_of, route_of
from gateway.core.access.roles import Role
from gateway.runtime import verbs
from tests_kit.api_stage import ApiStage

PLAN = verbs.CreateRollout(
    id="spring", bundle="gauge@1.1.0", policy=UpdatePolicy(plugged=True, trial_ms=500)
)
EXPERIMENT = verbs.CreateExperiment(id="e", bundle="a@2", production="a@1", mode="shadow")
ALL = (*ROUTES.values(), REVIVE)


def flat(union):
    return [
        one
        for part in get_args(union)
        for one in ([part] if isinstance(part, type) else flat(part))
    ]


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    stage = ApiStage(tmp_path_factory.mktemp("api"))
    yield stage.app.openapi()
    stage.blobs.close()
    stage.storage.close()


def test_every_verb_has_a_route():
    missing = set(flat(verbs.AnyVerb)) - set(ROUTES)
    assert missing == set(), f"verbs that cannot be asked for over HTTP: {missing}"


def test_every_route_is_one_of_the_api(paths):
    there = {
        (method.upper(), re.sub(r"\{\w+\}", "{}", path))
        for path, told in paths["paths"].items()
        for method in told
    }
    ours = {(r.method, PREFIX + re.sub(r"\{\w+\}", "{}", r.path)) for r in ALL}
    assert ours - there == set()


@pytest.mark.parametrize(
    "verb",
    [PLAN, EXPERIMENT, verbs.PreviewRollout(plan=PLAN), verbs.GrantDebug(device="d", by="a", why="w"),
     verbs.MakeToken(name="ci", role=Role.VIEWER), verbs.PublishBundle(digest="ab" * 32)],
    ids=lambda verb: type(verb).__name__,
)  # fmt: skip
def test_what_is_sent_has_the_fields_that_the_api_knows(paths, verb):
    request = request_of(verb)
    path = paths["paths"][request.path]["post"]["requestBody"]["content"]["application/json"]
    shape = paths["components"]["schemas"][path["schema"]["$ref"].rpartition("/")[2]]
    assert set(request.body) <= set(shape["properties"])
    assert set(shape.get("required", [])) <= set(request.body)
    msgspec.json.encode(request.body)


def test_a_policy_is_sent_by_its_full_names():
    policy = request_of(PLAN).body["policy"]
    assert policy == {"battery_percent_min": 0, "chip_c_max": 150, "plugged": True, "trial_ms": 500}


@pytest.mark.parametrize(
    ("verb", "method", "path"),
    [
        (verbs.Kill(feature="a/b c"), "PUT", "/v1/kills/a%2Fb%20c"),
        (verbs.Kill(feature="a", alive=True), "DELETE", "/v1/kills/a"),
        (verbs.Decide(number=7, approve=False), "POST", "/v1/approvals/7/deny"),
        (verbs.SteerRollout(rollout="r?x", how="pause"), "POST", "/v1/rollouts/r%3Fx/pause"),
        (verbs.ShowDevice(device="k-1"), "GET", "/v1/devices/k-1"),
    ],
)
def test_names_are_one_part_of_a_path(verb, method, path):
    request = request_of(verb)
    assert (request.method, request.path) == (method, path)


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_a_name_that_would_lead_elsewhere_is_refused(name):
    with pytest.raises(ValueError, match="expected a name"):
        request_of(verbs.ShowDevice(device=name))


def test_a_kill_that_has_such_a_name_is_taken_back_all_the_same():
    request = request_of(verbs.Kill(feature="..", alive=True))
    assert (request.method, request.path, request.query) == (
        "DELETE",
        "/v1/kills",
        (("feature", ".."),),
    )
    with pytest.raises(ValueError, match="expected a name"):
        request_of(verbs.Kill(feature=".."))


def test_filters_and_cursors_are_a_query():
    verb = verbs.ListDevices(
        labels={"region": "eu", "a": "b:c"}, online=False, state="idle", limit=7
    )
    assert request_of(verb, "CUR").query == (
        ("label", "region:eu"), ("label", "a:b:c"), ("online", "false"), ("state", "idle"), ("limit", "7"),
        ("cursor", "CUR"),
    )  # fmt: skip
    newest = request_of(verbs.PageRollouts(newest=True)).query
    assert ("order", "newest") in newest


def test_what_heeds_no_key_is_asked_once():
    assert request_of(verbs.Kill(feature="x")).keyed
    assert request_of(verbs.ListTokens()).keyed
    assert not request_of(verbs.MakeToken(name="ci", role=Role.VIEWER)).keyed
    assert not request_of(verbs.Decide(number=1, approve=True)).keyed


def test_a_request_for_approval_reads_as_the_door_says_it():
    take = route_of(verbs.ListApprovals()).take
    told = {"number": 1, "asked": {"verb": "kill"}, "state": "waits"}
    assert take(told) == {"number": 1, "verb": {"verb": "kill"}, "state": "waits"}
