"""What happened lately, and what a drifting feature looks like, over HTTP."""

import pytest

from bench.console_fleet import seed
from devicesdk.wire import codec
from devicesdk.wire.messages import Telemetry
from gateway.core.access.roles import Role
from tests_kit.api_stage import ApiStage
from tests_kit.plant import WALL_START_MS


@pytest.fixture
async def stage(tmp_path):
    seed(tmp_path, 20, WALL_START_MS * 1_000_000)
    async with ApiStage(tmp_path) as made:
        yield made


async def test_a_device_tells_of_wants_and_heat_and_a_stranger_is_not_known(stage):
    warm = codec.encode(Telemetry(boot_id=99, seq=1, bundle=b"12345678", frames=7, chip_c=71, battery_percent=12))  # fmt: skip
    stage.chronicle.heard("kiosk-00000", warm)
    async with stage.client(Role.ADMIN) as client:
        assert (await client.post("/v1/rollouts/winter/abort-revert")).status_code == 200
        told = (await client.get("/v1/devices/kiosk-00000/history")).json()
        assert ("wanted", "winter") in [(event["kind"], event["why"]) for event in told["events"]]
        assert [(w["chip_c"], w["battery_percent"], w["frames"]) for w in told["windows"]] == [(71, 12, 7)]  # fmt: skip
        assert told["since_ms"] >= WALL_START_MS
        assert (await client.get("/v1/devices/nobody/history")).status_code == 404
        assert (await client.get("/v1/rollouts/nothing/history")).status_code == 404


async def test_a_rollout_tells_of_its_progress(stage):
    async with stage.client(Role.ADMIN) as client:
        assert (await client.post("/v1/rollouts/winter/resume")).status_code == 200
        told = (await client.get("/v1/rollouts/winter/history")).json()
        assert told["points"][-1]["wave"] == 2
        assert told["points"][-1]["committed"] > 0


async def test_a_feature_is_seen_beside_its_baseline(stage):
    async with stage.client(Role.VIEWER) as client:
        cohorts = (await client.get("/v1/drift", params={"limit": 1000})).json()["cohorts"]
        ill = next(one for one in cohorts if one["verdict"] == "hardware")
        query = {"cohort": ill["name"], "feature": "latency"}
        told = (await client.get("/v1/drift/histogram", params=query)).json()
        assert len(told["current"]) == len(told["baseline"]) == len(told["edges_ms"]) + 1 == 16
        assert sum(told["current"]) > 5_000
        assert sum(told["baseline"]) == pytest.approx(1.0)
        said = await client.get("/v1/drift/histogram", params=query | {"feature": "nothing"})
        assert said.status_code == 404
        assert "with a baseline" in said.json()["detail"]
