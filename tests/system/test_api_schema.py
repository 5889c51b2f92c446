"""Schemathesis over the OpenAPI document: no failure of the gateway, no answer that the document does not know.

A seeded, bounded run: each operation gets a few requests that fit the document and a few that do not.
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

from gateway.core.access.roles import Role
from gateway.core.alarms.rules import DISK
from gateway.core.stimuli import Observed, Reading
from tests_kit.agent_bundles import Bundle
from tests_kit.alarm_stage import core_with
from tests_kit.api_stage import ApiStage

EXAMPLES = 8
STREAMS = {"events"}
"""They have no end to wait for; their own test reads them."""
CHECKS = [
    not_a_server_error,
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
        self.stage = None
        self._thread = threading.Thread(target=self._run)

    def _run(self):
        asyncio.run(self._serve())

    async def _serve(self):
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        async with ApiStage(self._folder, make=core_with()) as self.stage:
            await self.stage.enroll(3)
            full = Observed(DISK, (Reading("/", 1, "7 MiB"),))
            await self.stage.runtime.submit(full)
            bundle = Bundle(1)
            for blob, _ in bundle.blobs.values():
                self.stage.blobs.put(blob)
            async with self.stage.client() as client:
                body = {"digest": bundle.digest.hex()}
                assert (await client.post("/v1/bundles", json=body)).status_code == 201
                body = {"id": "spring", "bundle": bundle.manifest.name}
                assert (await client.post("/v1/rollouts", json=body)).status_code == 201
            self._ready.set()
            await self._over.wait()

    def __enter__(self):
        self._thread.start()
        assert self._ready.wait(60), "waited in vain for the API"
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
