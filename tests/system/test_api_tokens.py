"""Tokens: kept as hashes, ended at once wherever they are in use, and guessed by nobody."""

import asyncio

import msgspec

from gateway.api.limiter import NAMES_MAX, Limiter
from gateway.core.access.roles import Role
from tests_kit.api_raw import asked
from tests_kit.api_stage import FREE, LIFE_MS, LOCAL, PATIENCE_S, ApiStage
from tests_kit.plant import until

STRICT = msgspec.structs.replace(FREE, failures_per_s_max=0.001, failures_burst_max=3)


async def heard(response, seen):
    """Count what a stream tells, until it ends."""
    async for line in response.aiter_lines():
        seen.append(line)


async def test_a_stream_of_a_token_that_ends_ends_with_it_however_much_there_is_to_tell(tmp_path):
    http = msgspec.structs.replace(FREE, events_look_s=0.02, events_beat_s=3_600.0)
    async with ApiStage(tmp_path, http) as stage, stage.client() as admin:
        text = await stage.office.make_token(
            LOCAL, "listener", Role.VIEWER, life_ms=LIFE_MS, labels={}
        )
        seen, theirs = [], {"Authorization": f"Bearer {text}"}
        async with (
            asyncio.timeout(PATIENCE_S),
            stage.client(None) as client,
            client.stream("GET", "/v1/events", headers=theirs) as response,
        ):
            assert response.status_code == 200
            listening = asyncio.get_running_loop().create_task(heard(response, seen))
            await until(lambda: len(seen) > 3, "events", PATIENCE_S)
            await stage.office.revoke_token(LOCAL, "listener")
            number = 0
            while not listening.done():  # there is always news
                number += 1
                await admin.put(f"/v1/kills/f{number % 7}")
                await admin.delete(f"/v1/kills/f{number % 7}")
            await listening
        assert stage.app.state.beacon.listeners == 0


async def test_a_token_with_a_scope_is_not_told_how_many_requests_wait(tmp_path):
    async with ApiStage(tmp_path) as stage, stage.client() as admin:
        told = {}
        for name, labels in (("all", {}), ("eu", {"region": "eu"})):
            text = await stage.office.make_token(
                LOCAL, name, Role.VIEWER, life_ms=LIFE_MS, labels=labels
            )
            seen = told[name] = []
            async with (
                asyncio.timeout(PATIENCE_S),
                stage.client(None) as client,
                client.stream("GET", "/v1/events", headers={"Authorization": f"Bearer {text}"}) as response,
            ):  # fmt: skip
                assert response.status_code == 200
                listening = asyncio.get_running_loop().create_task(heard(response, seen))
                await until(lambda seen=seen: "event: kills" in seen, "events", PATIENCE_S)
                await admin.put(f"/v1/kills/{name}")
                await until(lambda seen=seen: seen.count("event: kills") == 2, "more", PATIENCE_S)
                listening.cancel()
        assert "event: approvals" in told["all"]
        assert "event: approvals" not in told["eu"]


async def test_whoever_is_refused_too_often_is_told_so_whatever_they_are_refused_for(tmp_path):
    for number, (line, *headers) in enumerate((
        ["GET /v1/fleet"],
        ["GET /v1/fleet", "Authorization: Bearer fd_the-admin_guess"],
        ["GET /v1/nothing"],
        ["PATCH /v1/fleet"],
        ["PUT /v1/kills/x", "Origin: https://evil.example"],
        ["POST /v1/rollouts", "Content-Type: text/plain", "Content-Length: 1"],
        ["POST /v1/rollouts", "Content-Type: application/json", f"Content-Length: {2**30}"],
        ["GET /v1/fleet", "X: " + "y" * 17_000],
    )):  # fmt: skip
        folder = tmp_path / str(number)
        folder.mkdir()
        async with ApiStage(folder, STRICT) as stage:
            url = stage.server.url
            told = [await asked(url, line, *headers, body=b"x") for _ in range(6)]
            codes = [one.status for one in told]
            assert 429 not in codes[:3], (line, codes)
            assert codes[4:] == [429, 429], (line, codes)
            assert int(told[-1].headers["retry-after"]) >= 1
            again = await asked(url, "GET /v1/fleet")
            assert again.status == 429, "what is refused counts, for whatever it is refused"
            token = stage.tokens[Role.VIEWER]
            assert (await asked(url, "GET /v1/fleet", token=token)).status == 200, (
                "a neighbour of an attacker is locked out"
            )
            assert (await asked(url, "GET /livez")).status == 200
            assert (await asked(url, "GET /console/")).status == 200


async def test_who_is_known_is_not_counted_among_strangers(tmp_path):
    async with ApiStage(tmp_path, STRICT) as stage:
        url, token = stage.server.url, stage.tokens[Role.VIEWER]
        for _ in range(10):
            assert (await asked(url, "GET /v1/devices/none", token=token)).status == 404
            assert (await asked(url, "PUT /v1/kills/x", token=token)).status == 403
        assert (await asked(url, "GET /v1/fleet")).status == 401


def test_strangers_take_a_bounded_amount_of_memory():
    limiter = Limiter(1.0, 3)
    for number in range(3 * NAMES_MAX):
        limiter.take(f"2001:db8:{number:x}::/64", 0)
    assert len(limiter) == NAMES_MAX


async def test_an_address_that_somebody_claims_is_not_believed(tmp_path):
    async with ApiStage(tmp_path, STRICT) as stage:
        url = stage.server.url
        codes = [
            (await asked(url, "GET /v1/fleet", f"X-Forwarded-For: 10.0.0.{number}")).status
            for number in range(6)
        ]
        assert codes[3:] == [429] * 3, "whoever invents addresses is not slowed down"


async def test_the_address_that_a_proxy_tells_is_believed(tmp_path):
    http = msgspec.structs.replace(STRICT, proxies=("127.0.0.1",))
    async with ApiStage(tmp_path, http) as stage:
        url = stage.server.url
        for number in range(6):
            told = await asked(
                url, "GET /v1/fleet", f"X-Forwarded-For: 6.6.6.6, 10.0.0.{number}",
                "X-Forwarded-Proto: https",
            )  # fmt: skip
            assert told.status == 401
            assert told.headers["strict-transport-security"].startswith("max-age=")


async def test_a_token_is_revoked_once_for_a_key_and_made_only_once_whatever_the_key(tmp_path):
    async with ApiStage(tmp_path) as stage, stage.client() as admin:
        body, once = {"name": "bob", "role": "viewer"}, {"Idempotency-Key": "make"}
        assert (await admin.post("/v1/tokens", json=body, headers=once)).status_code == 201
        again = await admin.post("/v1/tokens", json=body, headers=once)
        assert again.status_code == 409, "an answer that holds a secret was kept"
        assert again.json()["type"] == "/problems/exists"
        once = {"Idempotency-Key": "end"}
        first, second = [await admin.delete("/v1/tokens/bob", headers=once) for _ in range(2)]
        assert first.status_code == 200
        assert (second.status_code, second.content) == (200, first.content)
        other = await admin.delete("/v1/tokens/the-viewer", headers=once)
        assert other.status_code == 422, "a key was good for another request"
        entries = (await admin.get("/v1/audit?limit=1000")).json()["entries"]
        told = [(one["verb"], one["outcome"]) for one in entries if one["subject"] == "bob"]
        assert told == [("token.make", "done"), ("token.revoke", "done")]
