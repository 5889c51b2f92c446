"""The HTTP API over a real office, SQLite and files: what operators do, and what is refused."""

import asyncio
import json
from hashlib import sha256

import msgspec
import pytest

from gateway.api.problems import MEDIA
from gateway.config import HttpSection
from gateway.core.access.roles import Role
from gateway.ports import BlobError
from tests_kit.agent_bundles import Bundle
from tests_kit.api_raw import spoken
from tests_kit.api_stage import FREE, LOCAL, PATIENCE_S, ApiStage
from tests_kit.plant import WALL_START_MS, until

MIB = 1024 * 1024
KINDS = {"fleet", "rollouts", "experiments", "flags", "kills", "alarms", "approvals", "clock"}
FLAG = {"state": "ENABLED", "variants": {"on": True, "off": False}, "defaultVariant": "on"}


@pytest.fixture
async def stage(tmp_path):
    async with ApiStage(tmp_path) as made:
        yield made


@pytest.fixture
async def client(stage):
    async with stage.client() as made:
        yield made


def problem_of(response, status):
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == MEDIA
    told = response.json()
    assert (told["status"], bool(told["detail"])) == (status, True)
    return told


async def all_of(client, url, items, **params):
    """All items of a list, page by page."""
    found, cursor = [], ""
    while cursor is not None:
        response = await client.get(url, params={**params, "cursor": cursor})
        assert response.status_code == 200, response.text
        page = response.json()
        assert len(page[items]) <= params["limit"]
        found += page[items]
        cursor = page["next"]
    return found


async def test_every_device_is_on_one_page(stage, client):
    await stage.enroll(25)
    found = await all_of(client, "/v1/devices", "devices", limit=7)
    assert [view["id"] for view in found] == [f"d-{number:05d}" for number in range(25)]
    eu = await all_of(
        client, "/v1/devices", "devices", limit=4, label=["region:eu", "profile:rpi4"]
    )
    assert [view["id"] for view in eu] == [f"d-{number:05d}" for number in range(0, 25, 2)]
    for none in (
        {"online": "true"},
        {"state": "trial"},
        {"version": "gauge@9.9.9"},
        {"label": "a:b"},
    ):
        assert await all_of(client, "/v1/devices", "devices", limit=100, **none) == [], none
    assert len(await all_of(client, "/v1/devices", "devices", limit=100, state="idle")) == 25


async def test_a_page_sees_what_has_changed_since_the_one_before(stage, client):
    await stage.enroll(3)
    before = (await client.get("/v1/devices")).json()["devices"][1]
    assert before["labels"]["region"] == "us"
    labels = {"labels": {"region": "apac"}}
    assert (await client.put("/v1/devices/d-00001/labels", json=labels)).status_code == 200
    assert (await client.put("/v1/devices/a-first/labels", json=labels)).status_code == 200
    after = (await client.get("/v1/devices")).json()["devices"]
    assert [view["id"] for view in after] == ["a-first", "d-00000", "d-00001", "d-00002"]
    assert after[2]["labels"] == {"region": "apac"}
    assert (await client.get("/v1/fleet")).json()["fleet"]["enrolled"] == 4


async def test_a_mutation_is_done_only_on_what_was_looked_at(stage, client):
    await stage.enroll(1)
    url = "/v1/devices/d-00000/labels"
    tag = (await client.get(url)).headers["ETag"]
    assert (await client.get(url, headers={"If-None-Match": tag})).status_code == 304
    new = {"labels": {"region": "apac"}}
    assert (await client.put(url, json=new, headers={"If-Match": tag})).status_code == 200
    problem_of(await client.put(url, json={"labels": {}}, headers={"If-Match": tag}), 412)
    assert (await client.get(url)).json()["labels"] == {"region": "apac"}
    flag = "/v1/flags/all/x"
    assert (await client.put(flag, json={"definition": FLAG})).status_code == 200
    tag = (await client.get(flag)).headers["ETag"]
    assert (await client.put("/v1/flags/all/other", json={"definition": FLAG})).status_code == 200
    off = {"definition": {**FLAG, "defaultVariant": "off"}}
    assert (await client.put(flag, json=off, headers={"If-Match": tag})).status_code == 200
    problem_of(await client.put(flag, json=off, headers={"If-Match": tag}), 412)
    tag = (await client.get("/v1/kills")).headers["ETag"]
    assert (await client.put("/v1/kills/a", headers={"If-Match": tag})).status_code == 200
    problem_of(await client.put("/v1/kills/b", headers={"If-Match": tag}), 412)
    assert (await client.delete("/v1/kills/a")).status_code == 200
    assert (await client.get("/v1/kills")).json() == {"version": 2, "features": []}


async def test_asked_twice_with_one_key_it_is_done_once(stage, client):
    once = {"Idempotency-Key": "k1"}
    body = {"id": "r1", "bundle": "gauge@1.0.0"}
    first = await client.post("/v1/rollouts", json=body, headers=once)
    again = await client.post("/v1/rollouts", json=body, headers=once)
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    problem_of(await client.post("/v1/rollouts", json={**body, "soak": "1m"}), 409)
    other = {"id": "r2", "bundle": "gauge@1.0.0"}
    problem_of(await client.post("/v1/rollouts", json=other, headers=once), 422)
    assert [r["id"] for r in (await client.get("/v1/rollouts")).json()["rollouts"]] == ["r1"]


async def test_a_bundle_is_uploaded_in_parts_published_and_rolled_out(stage, client):
    await stage.enroll(4)
    bundle = Bundle(1)
    problem_of(await client.post("/v1/bundles", json={"digest": bundle.digest.hex()}), 422)
    for digest, (blob, _) in bundle.blobs.items():
        await upload(client, digest.hex(), blob, 60_000)
    published = await client.post("/v1/bundles", json={"digest": bundle.digest.hex()})
    assert published.status_code == 201, published.text
    name = bundle.manifest.name
    assert published.json()["bundle"] == name
    assert (await client.get(f"/v1/bundles/{name}")).json()["digest"] == bundle.digest.hex()
    assert (await client.get(f"/v1/bundles/{bundle.digest.hex()}")).json()["name"] == name
    assert [b["name"] for b in await all_of(client, "/v1/bundles", "bundles", limit=1)] == [name]
    releases = (await client.get(f"/v1/releases/{bundle.manifest.id}")).json()["releases"]
    assert [r["version"] for r in releases] == [bundle.manifest.version]
    body = {"id": "r1", "bundle": name, "waves": [0.5, 1.0], "policy": {"plugged": True}}
    assert (await client.post("/v1/rollouts", json=body)).status_code == 201
    shown = await client.get("/v1/rollouts/r1")
    assert (shown.json()["state"], shown.json()["waves"][0]["size"]) == ("running", 2)
    assert shown.json()["waves"][0]["opened_ms"] >= 1_750_000_000_000
    tag = {"If-Match": shown.headers["ETag"]}
    assert (await client.post("/v1/rollouts/r1/pause", headers=tag)).status_code == 200
    problem_of(await client.post("/v1/rollouts/r1/abort-keep", headers=tag), 412)
    assert (await client.get("/v1/rollouts/r1")).json()["state"] == "paused"
    newest = await all_of(client, "/v1/rollouts", "rollouts", limit=1, order="newest")
    assert [r["id"] for r in newest] == ["r1"]


async def upload(client, name, blob, part_bytes):
    """Send a blob in parts, asking before each how much is there."""
    url = f"/v1/blobs/{name}"
    for _ in range(len(blob) // part_bytes + 1):
        probe = await client.head(url)
        have = int(probe.headers["Upload-Offset"]) if probe.status_code == 200 else 0
        part = blob[have : have + part_bytes]
        said = {"Content-Range": f"bytes {have}-{have + len(part) - 1}/{len(blob)}"}
        sent = await client.put(url, content=part, headers=said)
        assert sent.status_code in (201, 202), sent.text
        assert sent.json()["complete"] is (have + len(part) == len(blob))
        if sent.status_code == 201:
            break
    assert (await client.head(url)).headers["Upload-Complete"] == "?1"


async def test_uploads_are_refused_where_they_do_not_fit_and_kept_where_they_break(stage, client):
    blob = bytes(range(256)) * 4 * 3 * 1024
    url = f"/v1/blobs/{sha256(blob).hexdigest()}"
    assert (await client.head(url)).status_code == 404
    problem_of(await client.put(url, content=b"x", headers={"Content-Range": "bytes 5-5/9"}), 409)
    problem_of(await client.put(url, content=b"x", headers={"Content-Range": "lines 1"}), 422)
    told = problem_of(await client.put(url, content=blob[::-1]), 422)
    assert told["type"] == "/problems/upload-hash"
    await broken(stage, url, blob[: 3 * MIB // 2], len(blob))
    probe = await client.head(url)
    have = int(probe.headers["Upload-Offset"])
    assert (have >= MIB, probe.headers["Upload-Complete"]) == (True, "?0")
    rest = {"Content-Range": f"bytes {have}-{len(blob) - 1}/{len(blob)}"}
    assert (await client.put(url, content=blob[have:], headers=rest)).status_code == 201
    assert (await client.put(url, content=blob)).status_code == 200, "it is here already"
    assert sha256((await client.get(url)).content).hexdigest() in url
    part = await client.get(url, headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, blob[10:20])
    problem_of(await client.get(url, headers={"Range": "bytes=99999999-"}), 416)
    problem_of(await client.delete(url), 404)


async def broken(stage, url, part, size):
    """An upload whose connection breaks."""
    host, port = stage.server.url.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    token = stage.tokens[Role.ADMIN]
    head = f"PUT {url} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nContent-Length: {size}\r\n\r\n"
    writer.write(head.encode() + part)
    await writer.drain()
    digest = bytes.fromhex(url.rsplit("/", 1)[1])
    await until(lambda: there(stage, digest) >= MIB, "a part", PATIENCE_S)
    writer.close()
    await until(lambda: not stage.uploads.busy, "the end of the upload", PATIENCE_S)


def there(stage, digest):
    try:
        return stage.uploads.have(digest)[0]
    except BlobError:
        return 0


async def test_tokens_are_said_once_and_end(stage, client):
    body = {"name": "ci", "role": "viewer", "life": "1h"}
    made = (await client.post("/v1/tokens", json=body)).json()["token"]
    problem_of(await client.post("/v1/tokens", json=body), 409)
    listed = await client.get("/v1/tokens")
    assert made.rsplit("_", 1)[1] not in listed.text
    assert "ci" in [one["name"] for one in listed.json()["tokens"]]
    theirs = {"Authorization": f"Bearer {made}"}
    me = (await client.get("/v1/whoami", headers=theirs)).json()
    assert (me["name"], me["role"], me["permissions"]) == ("ci", "viewer", ["read"])
    assert (await client.delete("/v1/tokens/ci")).status_code == 200
    problem_of(await client.get("/v1/whoami", headers=theirs), 401)
    log = await client.get("/v1/audit", params={"order": "newest", "limit": 2})
    assert [e["verb"] for e in log.json()["entries"]] == ["token.revoke", "token.make"]
    assert made.rsplit("_", 1)[1] not in log.text


async def test_the_audit_log_reads_the_same_from_both_ends(stage, client):
    for number in range(7):
        await client.put(f"/v1/kills/f{number}")
    old = await all_of(client, "/v1/audit", "entries", limit=5)
    new = await all_of(client, "/v1/audit", "entries", limit=5, order="newest")
    assert [e["number"] for e in old] == list(range(1, len(old) + 1))
    assert new == old[::-1]
    head = (await client.get("/v1/audit/head")).json()
    assert head["number"] == len(old)
    cursor = (await client.get("/v1/audit?limit=1")).json()["next"]
    problem_of(await client.get("/v1/audit", params={"order": "newest", "cursor": cursor}), 422)


async def test_a_second_person_approves(tmp_path):
    async with ApiStage(tmp_path, second=frozenset({"kill"})) as stage, stage.client() as admin:
        asked = await admin.put("/v1/kills/gauge")
        assert (asked.status_code, asked.json()["waits"]) == (202, 1)
        problem_of(await admin.post("/v1/approvals/1/approve", json={"why": "mine"}), 403)
        async with stage.client(Role.SECURITY) as other:
            (waits,) = (await other.get("/v1/approvals")).json()["approvals"]
            assert (waits["state"], waits["asked"]["feature"]) == ("waits", "gauge")
            done = await other.post("/v1/approvals/1/approve", json={"why": "seen"})
            assert done.status_code == 200, done.text
        assert (await admin.get("/v1/kills")).json()["features"] == ["gauge"]


async def test_events_tell_every_state_and_then_what_changes(stage, client):
    async with client.stream("GET", "/v1/events", headers={"Last-Event-ID": "77"}) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        events = told(response)
        found = {}
        async with asyncio.timeout(PATIENCE_S):
            while len(found) < len(KINDS):
                kind, data = await anext(events)
                found[kind] = data
            assert set(found) == KINDS
            assert found["approvals"] == {"waiting": 0}
            assert WALL_START_MS <= found["clock"]["now_ms"] <= stage.clock.wall_ms()
            assert (await client.put("/v1/kills/gauge")).status_code == 200
            while True:
                kind, data = await anext(events)
                if kind == "kills":
                    break
        assert data["kills"]["features"] == ["gauge"]


async def told(response):
    """Events of a stream: kind and data."""
    kind = ""
    async for line in response.aiter_lines():
        word, _, rest = line.partition(": ")
        if word == "event":
            kind = rest
        elif word == "data":
            yield kind, msgspec.json.decode(rest)


async def test_listeners_are_bounded_and_one_without_a_good_token_is_left(tmp_path):
    http = msgspec.structs.replace(FREE, events_clients_max=1, events_beat_s=0.05)
    async with (
        ApiStage(tmp_path, http) as stage,
        stage.client() as client,
        client.stream("GET", "/v1/events") as response,
    ):
        assert response.status_code == 200
        refused = await client.get("/v1/events")
        problem_of(refused, 503)
        assert refused.headers["Retry-After"] == "1"
        await stage.office.revoke_token(LOCAL, "the-admin")
        async with asyncio.timeout(PATIENCE_S):
            async for _ in response.aiter_bytes():
                pass


async def test_who_asks_too_often_is_told_when_to_come_back(tmp_path):
    http = HttpSection(requests_per_s_max=0.01, requests_burst_max=3,
                       failures_per_s_max=0.01, failures_burst_max=2)  # fmt: skip
    async with ApiStage(tmp_path, http) as stage:
        async with stage.client(Role.VIEWER) as client:
            codes = [(await client.get("/v1/whoami")).status_code for _ in range(4)]
            assert codes == [200, 200, 200, 429]
            late = await client.get("/v1/whoami")
            problem_of(late, 429)
            assert 1 <= int(late.headers["Retry-After"]) <= 100
        async with stage.client(Role.ADMIN) as other:
            assert (await other.get("/v1/whoami")).status_code == 200, "tokens share a bucket"
        async with stage.client(None) as nobody:
            codes = [(await nobody.get("/v1/whoami")).status_code for _ in range(3)]
            assert codes == [401, 401, 429]


async def test_a_connection_that_does_not_say_what_it_wants_is_closed(tmp_path):
    http = msgspec.structs.replace(FREE, head_s_max=0.2, body_s_max=0.2, upload_idle_s_max=0.2)
    async with ApiStage(tmp_path, http) as stage:
        url = stage.server.url
        assert await spoken(url) == b"", "silence"
        assert await spoken(url, b"GET /v1/whoami HTTP/1.1\r\nHost: localhost\r\nX-A: ") == b"", (
            "half a head"
        )
        trickle = [b"GET / HTTP/1.1\r\n", *[b"X-A: b\r\n"] * 40]
        assert await spoken(url, *trickle, pause_s=0.02) == b"", "a head that trickles"
        token = stage.tokens[Role.ADMIN].encode()
        head = b"POST /v1/rollouts HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + token
        head += b"\r\nContent-Type: application/json\r\nConnection: close\r\n"
        slow = await spoken(url, head + b"Content-Length: 100\r\n\r\n{")
        assert slow.startswith(b"HTTP/1.1 408"), slow[:200]
        put = head.replace(b"POST /v1/rollouts", b"PUT /v1/blobs/" + b"ab" * 32)
        slow = await spoken(url, put + b"Content-Length: 100\r\n\r\nx")
        assert slow.startswith(b"HTTP/1.1 408"), slow[:200]


async def test_what_is_too_large_or_too_strange_is_refused(stage, client):
    large = b'{"id": "' + b"x" * 300_000 + b'"}'
    for more in ({}, {"Transfer-Encoding": "chunked"}):
        content = large if not more else pieces(large)
        headers = {"Content-Type": "application/json"}
        problem_of(await client.post("/v1/rollouts", content=content, headers=headers), 413)
    for url in ("/v1/devices/../../etc/passwd", "/v1/devices/..%2f..%2fgateway.db", "/v1/devices/a%00b",
                "/v1/blobs/../../../etc/passwd", "/v1/blobs/%2e%2e", "/v1/flags/..%2f/x"):  # fmt: skip
        response = await client.get(url)
        assert response.status_code in (404, 422), f"{url}: {response.status_code}"
    for word in ("' OR 1=1 --", "<script>alert(1)</script>", "${jndi:ldap://x}", "\ud7ff" * 100):
        problem_of(await client.get("/v1/devices", params={"cursor": word}), 422)
        response = await client.get("/v1/devices", params={"version": word, "label": f"a:{word}"})
        assert response.json()["devices"] == []
        problem_of(await client.get(f"/v1/bundles/{word.replace('/', '')}"), 404)
    problem_of(await client.get("/v1/nothing"), 404)
    problem_of(await client.patch("/v1/devices"), 405)
    for more in (
        {"more": 1},
        {"soak": "999999999d"},
        {"jitter": "soon"},
        {"waves": []},
        {"id": "a/b"},
    ):
        body = {"id": "r", "bundle": "b@1", **more}
        problem_of(await client.post("/v1/rollouts", json=body), 422)
    soup = await client.post("/v1/rollouts", json={"id": "r", "bundle": "b@1", "soak": "5x"})
    assert "body.soak: expected a duration with units such as 45m" in soup.json()["detail"]
    for wrong, status in ((10**40, 409), ("\ud800", 422)):
        text = json.dumps({"definition": {**FLAG, "metadata": {"x": wrong}}})
        headers = {"Content-Type": "application/json"}
        problem_of(await client.put("/v1/flags/all/x", content=text, headers=headers), status)
    problem_of(
        await client.post(
            "/v1/rollouts", content=b"{", headers={"Content-Type": "application/json"}
        ),
        422,
    )
    assert await spoken(stage.server.url, b"NONSENSE\r\n\r\n") != b""


async def pieces(data):
    for at in range(0, len(data), 10_000):
        yield data[at : at + 10_000]


async def test_every_answer_says_what_may_be_done_with_it(stage, client):
    for url in ("/livez", "/readyz", "/metrics", "/v1/fleet", "/v1/nothing", "/v1/openapi.json"):
        headers = (await client.get(url)).headers
        assert headers["X-Content-Type-Options"] == "nosniff", url
        assert headers["X-Frame-Options"] == "DENY", url
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"], url
        assert headers["Cache-Control"] == "no-store", url
        assert "server" not in headers, url
    text = (await client.get("/metrics")).text
    assert 'fleetdrill_http_requests_total{method="GET",status="404"} 1.0' in text
    assert "fleetdrill_gateway_turns_total" in text


async def test_devices_are_found_by_how_their_ids_begin(stage, client):
    await stage.enroll(25)

    async def found(**words):
        answer = await client.get("/v1/devices", params=words)
        page = answer.json()
        return [one["id"] for one in page["devices"]], page["next"]

    assert await found(prefix="d-0000") == ([f"d-{number:05d}" for number in range(10)], None)
    assert await found(prefix="d-00007") == (["d-00007"], None)
    assert await found(prefix="e") == ([], None)
    assert await found(prefix="d-0000", label="region:us") == ([f"d-{number:05d}" for number in range(1, 10, 2)], None)  # fmt: skip
    first, then = await found(prefix="d-0001", limit=4)
    rest, end = await found(prefix="d-0001", limit=100, cursor=then)
    assert (first + rest, end) == ([f"d-{number:05d}" for number in range(10, 20)], None)
