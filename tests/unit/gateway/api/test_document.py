"""The document and the tables say the same as the routes and the verbs."""

import msgspec
import pytest

from devicesdk.wire.messages import UpdateState
from gateway.api.models import Policy
from gateway.api.needs import ANYBODY, OPEN, OPERATIONS
from gateway.api.problems import MEDIA, STATUS
from gateway.api.routes.devices import State
from gateway.api.routes.experiments import NewExperiment
from gateway.api.routes.rollouts import Gate, NewRollout
from gateway.core import stimuli as hear
from gateway.runtime import verbs
from tests_kit.api_stage import ApiStage


@pytest.fixture
async def document(tmp_path):
    async with ApiStage(tmp_path) as stage:
        yield stage.app.openapi()


async def test_every_operation_is_declared_with_its_errors_and_its_permission(document):
    seen = {}
    for path, operations in document["paths"].items():
        for method, told in operations.items():
            name = told["operationId"]
            assert name not in seen, f"{name} is {method} {path} and {seen[name]}"
            seen[name] = f"{method} {path}"
            assert told["tags"], f"{name} has no tag"
            assert told["description"], f"{name} says nothing"
            if name in OPEN:
                continue
            assert told["security"] == [{"token": []}], f"{name} asks for no token"
            assert told.get("x-permission") == OPERATIONS.get(name), name
            for code in ("401", "422", "429", "503"):
                content = told["responses"][code].get("content", {MEDIA: None})
                assert set(content) == {MEDIA}, f"{name} tells {code} as {set(content)}"
    assert set(seen) == set(OPERATIONS) | OPEN | ANYBODY


async def test_every_reference_of_the_document_leads_somewhere(document):
    text = msgspec.json.encode(document).decode()
    for part in text.split('"$ref":"#/components/schemas/')[1:]:
        assert part.partition('"')[0] in document["components"]["schemas"]
    assert not [name for name in document["components"]["schemas"] if "." in name]


def test_defaults_of_the_api_are_those_of_the_verbs():
    rollout = NewRollout(id="r", bundle="b@1.0.0")
    words = rollout.model_dump() | {"policy": rollout.policy.value}
    made = msgspec.convert({"verb": "rollout.create", **words}, verbs.CreateRollout)
    assert made == verbs.CreateRollout(id="r", bundle="b@1.0.0")
    assert msgspec.convert(Gate().model_dump(), hear.GatePlan) == hear.GatePlan()
    trial = NewExperiment(id="e", bundle="b@2.0.0", production="b@1.0.0", mode="shadow")
    words = trial.model_dump() | {"policy": trial.policy.value}
    made = msgspec.convert({"verb": "experiment.create", **words}, verbs.CreateExperiment)
    assert made == verbs.CreateExperiment(
        id="e", bundle="b@2.0.0", production="b@1.0.0", mode="shadow"
    )
    assert set(NewRollout.model_fields) == set(verbs.CreateRollout.__struct_fields__)
    assert set(NewExperiment.model_fields) == set(verbs.CreateExperiment.__struct_fields__)
    assert set(Gate.model_fields) == set(hear.GatePlan.__struct_fields__)


def test_a_policy_means_the_same_to_a_verb():
    asked = Policy(battery_percent_min=30, chip_c_max=70, plugged=True, trial_ms=5)
    words = {"verb": "rollout.create", "id": "r", "bundle": "b@1", "policy": asked.value}
    policy = msgspec.convert(words, verbs.CreateRollout).policy
    found = (policy.battery_percent_min, policy.chip_c_max, policy.plugged, policy.trial_ms)
    assert found == (30, 70, True, 5)


def test_states_of_the_filter_are_those_of_devices():
    assert set(State.__args__) == {state.name.lower() for state in UpdateState}


def test_every_code_has_a_status():
    assert STATUS["exists"] == 409
    assert all(400 <= status < 600 for status in STATUS.values())
