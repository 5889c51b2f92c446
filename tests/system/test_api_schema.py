"""Schemathesis over the OpenAPI document: no failure of the gateway, no answer that the document does not know.

A seeded, bounded run: each operation gets a few requests that fit the document and a few that do not. Beside the gateway
is the real simulator, with a small fleet: a plan was rehearsed before, and those that come to be asked for are rehearsed,
one at a time, until the run is over.
"""

import asyncio
import threading

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from devicesdk.bundle.trust import ROLE_TARGETS
from gateway.adapters.rehearsing import usual_command
from gateway.core.access.roles import Role
from gateway.core.alarms.rules import DISK
from gateway.core.stimuli import Observed, Reading
from tests_kit.agent_bundles import SIGNERS
from tests_kit.alarm_stage import core_with
from tests_kit.api_stage import ApiStage
from tests_kit.rehearsed import GOOD, publish

EXAMPLES = 8
STREAMS = {"events"}
"""They have no end to wait for; their own test reads them."""


def no_failure(ctx, response, case):
    """A 503 that says when to come again is none: eight rehearsals may wait, and the ninth is told so."""
    if response.status_code == 503 and response.headers.get("retry-after"):
        return None
    return not_a_server_error(ctx, response, case)


CHECKS = [
    no_failure,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


class Running:
    """A stage in a thread of its own, for a client that blocks."""

    def __init__(self, folder):
        self._folder = folder
        self._ready = threading.Event()
        self._loop = None
        self.stage = self.failed = None
        self._thread = threading.Thread(target=self._run)

    def _run(self):
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - told by whoever waits
            self.failed = error
            self._ready.set()

    async def _serve(self):
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        command = usual_command()
        async with ApiStage(self._folder, make=core_with(), command=command) as self.stage:
            await self.stage.enroll(3)
            full = Observed(DISK, (Reading("/", 1, "7 MiB"),))
            await self.stage.runtime.submit(full)
            bundle = publish(self.stage.blobs, GOOD, SIGNERS[ROLE_TARGETS])
            async with self.stage.client() as client:
                body = {"digest": bundle.digest}
                assert (await client.post("/v1/bundles", json=body)).status_code == 201
                body = {"id": "spring", "bundle": bundle.name, "waves": [1.0], "soak": "1s"}
                assert (await client.post("/v1/rollouts", json=body)).status_code == 201
                asked = await client.post("/v1/rollouts/spring/rehearse", json={})
                assert asked.status_code == 202, asked.text
                await self.stage.rehearsed(1)
            self._ready.set()
            await self._over.wait()

    def __enter__(self):
        self._thread.start()
        assert self._ready.wait(180), "waited in vain for the API"
        if self.failed is not None:
            raise self.failed
        return self.stage

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    with Running(tmp_path_factory.mktemp("api")) as made:
        yield made


@pytest.fixture(scope="module")
def document(stage):
    return schemathesis.openapi.from_dict(stage.app.openapi())


def operations(schema):
    for result in schema.get_all_operations():
        operation = result.ok()
        if operation.definition.raw["operationId"] not in STREAMS:
            yield operation


REHEARSAL = {"number": 1}
PLAN = {"id": "summer", "bundle": "gauge@1.1.0", "waves": [1.0]}
KNOWN = {
    "list_rehearsals": ({}, None, 200), "show_shape": ({}, None, 200), "show_rehearsal": (REHEARSAL, None, 200),
    "download_report": ({**REHEARSAL, "seed": 1}, None, 200), "rehearse_plan": ({}, PLAN, 202),
    "rehearse_rollout": ({"id": "spring"}, {}, 202),
}  # fmt: skip
"""What is known of the one rehearsal: the operation, with what in its path and body, answers this."""


@pytest.mark.filterwarnings("ignore")
def test_what_is_told_of_a_rehearsal_that_held_is_what_is_declared(stage, document):
    headers = {"Authorization": f"Bearer {stage.tokens[Role.ADMIN]}"}
    told = {}
    for operation in operations(document):
        name = operation.definition.raw["operationId"]
        if name not in KNOWN:
            continue
        path, body, status = KNOWN[name]
        words = {"path_parameters": path} | ({} if body is None else {"body": body})
        case = operation.Case(**words)
        response = case.call_and_validate(
            base_url=stage.server.url, headers=headers, checks=CHECKS, timeout=60
        )
        assert response.status_code == status, (name, response.text)
        told[name] = response
    assert told.keys() == KNOWN.keys()
    found = told["show_rehearsal"].json()
    assert (found["state"], found["verdict"]["outcome"]) == ("held", "held"), found
    assert "<html" in told["download_report"].text.lower()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "mode", [schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE]
)
def test_no_request_breaks_the_gateway_or_is_answered_otherwise_than_declared(
    stage, document, mode
):
    headers = {"Authorization": f"Bearer {stage.tokens[Role.ADMIN]}"}
    asked = 0
    for operation in operations(document):
        asked += 1

        def ask(case):
            case.call_and_validate(
                base_url=stage.server.url, headers=headers, checks=CHECKS, timeout=60
            )

        try:
            run(operation, mode, ask)
        except Unsatisfiable:  # an operation of which nothing wrong can be asked
            assert mode is schemathesis.GenerationMode.NEGATIVE
    assert asked >= 40


def run(operation, mode, ask):
    """Ask what Hypothesis makes of one operation, always the same."""
    from hypothesis import given, seed

    strategy = operation.as_strategy(generation_mode=mode)
    bounded = settings(
        max_examples=EXAMPLES, deadline=None, database=None, derandomize=False,
        phases=(Phase.explicit, Phase.generate), suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    seed(6)(bounded(given(case=strategy)(ask)))()
