"""Alarms over HTTP: pages, filters, tags, keys, and the event that says that something changed."""

import json

import pytest

from gateway.core.access.roles import Role
from gateway.core.alarms.rules import DISK, EXPIRY
from gateway.core.stimuli import Observed, Reading
from tests_kit.alarm_stage import core_with
from tests_kit.api_stage import ApiStage


@pytest.fixture
async def stage(tmp_path):
    async with ApiStage(tmp_path, make=core_with()) as made:
        yield made


async def see(stage, kind, *values):
    readings = tuple(Reading(f"s{place}", value) for place, value in enumerate(values))
    await stage.runtime.submit(Observed(kind, readings))


async def test_pages_of_alarms_go_on_where_the_last_one_ended(stage):
    await see(stage, EXPIRY, *[3] * 25)
    async with stage.client(Role.VIEWER) as client:
        for order in ("newest", "oldest"):
            ids, cursor = [], ""
            while cursor is not None:
                words = {"limit": 10, "order": order, "cursor": cursor}
                page = (await client.get("/v1/alarms", params=words)).json()
                ids += [one["id"] for one in page["alarms"]]
                cursor = page["next"]
            assert len(ids) == 25
            assert ids == sorted(ids, reverse=order == "newest")
        assert page["counts"]["open"] == page["counts"]["critical"] == 25
        other = await client.get("/v1/alarms", params={"order": "newest", "cursor": "WyJ4IiwiMSJd"})
        assert other.status_code == 422, "a cursor of another list"


async def test_filters(stage):
    await see(stage, EXPIRY, 3, 15)
    await see(stage, DISK, 8)
    async with stage.client(Role.VIEWER) as client:
        for words, count in (
            ({"kind": EXPIRY}, 2),
            ({"severity": "critical"}, 1),
            ({"state": "open"}, 3),
            ({"state": "acknowledged"}, 0),
            ({"kind": "nothing"}, 0),
        ):
            found = (await client.get("/v1/alarms", params=words)).json()["alarms"]
            assert len(found) == count, words
        assert (await client.get("/v1/alarms", params={"state": "odd"})).status_code == 422


async def test_an_alarm_is_acknowledged_once_and_only_as_it_was_seen(stage):
    await see(stage, DISK, 8)
    async with stage.client(Role.OPERATOR) as client:
        (alarm,) = (await client.get("/v1/alarms")).json()["alarms"]
        path = f"/v1/alarms/{alarm['id']}"
        first = await client.get(path)
        assert first.json() == alarm
        await see(stage, DISK, 2)  # it gets worse
        tag = {"If-Match": first.headers["ETag"]}
        late = await client.post(f"{path}/acknowledge", json={}, headers=tag)
        assert late.status_code == 412, "what was looked at was a warning"
        keyed = {"If-Match": (await client.get(path)).headers["ETag"], "Idempotency-Key": "k"}
        said = await client.post(f"{path}/acknowledge", json={"why": "on it"}, headers=keyed)
        again = await client.post(f"{path}/acknowledge", json={"why": "on it"}, headers=keyed)
        assert (said.status_code, again.json()) == (200, said.json())
        twice = await client.post(f"{path}/acknowledge", json={})
        assert (twice.status_code, "already" in twice.json()["detail"]) == (409, True)
        seen = (await client.get(path)).json()
        assert (seen["acknowledged_by"], seen["acknowledged_why"]) == ("the-operator", "on it")
        assert (await client.get("/v1/alarms/17")).status_code == 404
        assert (await client.post("/v1/alarms/17/silence", json={})).status_code == 404
        long = await client.post(f"{path}/silence", json={"lasts": "400d"})
        assert long.status_code == 409


async def test_whoever_listens_is_told_that_something_changed(stage):
    async with (
        stage.client(Role.VIEWER) as client,
        client.stream("GET", "/v1/events") as stream,
    ):
        opens, kind = [], ""
        async for line in stream.aiter_lines():
            if line.startswith("event: "):
                kind = line.removeprefix("event: ")
            elif line.startswith("data: ") and kind == "alarms":
                opens.append(json.loads(line.removeprefix("data: "))["alarms"]["open"])
                if len(opens) == 1:
                    await see(stage, DISK, 8)
                elif opens[-1] == 1:
                    break
    assert opens[0] == 0, "the state at first"
