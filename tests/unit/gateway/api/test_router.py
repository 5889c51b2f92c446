"""Who asks is looked at before anything they sent."""

import pytest

from gateway.api.needs import OPEN
from gateway.config import HttpSection
from gateway.core.access.roles import Role
from tests_kit.api_stage import ApiStage

BROKEN = {"content": b'{"broken": ', "headers": {"content-type": "application/json"}}


def operations_with_json(stage):
    """Method and path of each operation behind a token that takes JSON."""
    for path, operations in stage.app.openapi()["paths"].items():
        for method, told in operations.items():
            kinds = told.get("requestBody", {}).get("content", {})
            if told["operationId"] not in OPEN and "application/json" in kinds:
                yield method, path


@pytest.mark.parametrize(
    ("token", "status"), [("", 401), ("nobody's", 401), (Role.ADMIN, 422)], ids=str
)
async def test_what_a_stranger_sends_is_not_read(tmp_path, token, status):
    async with ApiStage(tmp_path) as stage, stage.client(None) as client:
        if token:
            client.headers["Authorization"] = f"Bearer {stage.tokens.get(token, token)}"
        asked = list(operations_with_json(stage))
        assert len(asked) > 10
        for method, path in asked:
            answer = await client.request(method, path, **BROKEN)
            assert answer.status_code == status, f"{method} {path}: {answer.text}"


async def test_a_request_is_counted_once_although_it_is_looked_at_twice(tmp_path):
    few = HttpSection(requests_per_s_max=0.001, requests_burst_max=5)
    async with ApiStage(tmp_path, http=few) as stage, stage.client() as client:
        codes = [(await client.get("/v1/whoami")).status_code for _ in range(8)]
        assert codes == [200] * 5 + [429] * 3
