"""What the API refuses before anybody is asked who they are: forged, rebound, smuggled, oversized, or strange requests."""

import json

import msgspec
import pytest

from gateway.core import rows
from gateway.core.access.roles import Role
from tests_kit.api_raw import asked, first_of, spoken
from tests_kit.api_stage import FREE, ApiStage

JSON = "Content-Type: application/json"
KILLS = b'{"version":0,"features":[]}'


@pytest.fixture
async def stage(tmp_path):
    http = msgspec.structs.replace(FREE, hosts=("console.example",))
    async with ApiStage(tmp_path, http) as made:
        yield made


@pytest.fixture
def ask(stage):
    def ask(line, *headers, **more):
        return asked(stage.server.url, line, *headers, token=stage.tokens[Role.ADMIN], **more)

    return ask


async def test_a_page_of_another_site_changes_nothing_even_with_a_token(stage, ask):
    evil = "Origin: https://evil.example"
    for more in (
        [evil],
        ["Origin: null"],
        ["Sec-Fetch-Site: cross-site"],
        ["Sec-Fetch-Site: same-site"],
        [evil, "Sec-Fetch-Site: cross-site"],
        ["Origin: http://127.0.0.1:1"],  # another port is another origin
        ["Origin: http://localhost"],
    ):
        told = await ask("PUT /v1/kills/gauge", *more)
        assert (told.status, told.problem()["type"]) == (403, "/problems/cross-site"), more
        assert "access-control-allow-origin" not in told.headers
    assert (await ask("GET /v1/kills")).body == KILLS
    port = stage.server.url.rsplit(":", 1)[1]
    own = f"127.0.0.1:{port}"
    assert (await ask("PUT /v1/kills/a", f"Origin: http://{own}", host=own)).status == 200
    assert (await ask("PUT /v1/kills/b", "Sec-Fetch-Site: same-origin")).status == 200
    assert (await ask("PUT /v1/kills/c")).status == 200, "a program is not a page"


async def test_a_form_cannot_speak_json(ask):
    body = json.dumps({"id": "r1", "bundle": "b@1.0.0"}).encode()
    length = f"Content-Length: {len(body)}"
    for kind in (
        ["Content-Type: text/plain"],
        ["Content-Type: application/x-www-form-urlencoded"],
        ["Content-Type: multipart/form-data; boundary=x"],
        ["Content-Type: text/plain; application/json"],
        [],
    ):
        told = await ask("POST /v1/rollouts", *kind, length, body=body)
        assert told.status == 415, (kind, told)
        told.problem()
    told = await ask("POST /v1/rollouts", f"{JSON}; charset=utf-8", length, body=body)
    assert told.status == 201, told


async def test_what_could_not_be_asked_for_afterwards_is_not_made(ask):
    """A browser makes another address of `/v1/rollouts/../pause`: nobody could stop a rollout of that name."""
    other = {"production": "b@1.0.0", "mode": "shadow"}
    for path, more in (("rollouts", {}), ("experiments", other)):
        for name in (".", "..", "a/b", "a b", "a\x1b[2Jb", "a\x7f", "a\x9b"):
            body = json.dumps({"id": name, "bundle": "b@2.0.0", **more}).encode()
            length = f"Content-Length: {len(body)}"
            told = await ask(f"POST /v1/{path}", JSON, length, body=body)
            assert told.status == 422, (path, name, told)
        for name in ("...", ".a", "..a", "a..b", "-", "köln", "v1.0"):
            body = json.dumps({"id": name, "bundle": "b@2.0.0", **more}).encode()
            length = f"Content-Length: {len(body)}"
            told = await ask(f"POST /v1/{path}", JSON, length, body=body)
            assert told.status in (201, 409), (path, name, told)


async def test_a_kill_or_a_flag_is_not_called_so_either_and_an_old_kill_is_taken_back(stage, ask):
    switch = {"state": "ENABLED", "variants": {"on": True}, "defaultVariant": "on"}
    body = json.dumps({"definition": switch}).encode()
    length = f"Content-Length: {len(body)}"
    for name in (".", ".."):
        for line, headers, more in (
            (f"PUT /v1/kills/{name}", (), {}),
            (f"PUT /v1/flags/all/{name}", (JSON, length), {"body": body}),
        ):
            told = await ask(line, *headers, **more)
            assert (told.status, "part of an address" in told.problem()["detail"]) == (409, True), (
                told
            )
        assert (await ask(f"GET /v1/flags/all/{name}")).status == 404
    assert (await ask("GET /v1/kills")).body == KILLS
    assert (await ask("DELETE /v1/kills")).status == 422
    assert (await ask("PUT /v1/kills/a..b")).status == 200
    told = await ask("DELETE /v1/kills?feature=a..b")
    assert (told.status, (await ask("GET /v1/kills")).body) == (200, b'{"version":2,"features":[]}')


async def test_what_was_killed_by_such_a_name_before_lives_again(tmp_path):
    made = ApiStage(tmp_path)
    made.storage.put(rows.KILL, "list", rows.KillRow(3, ("..", "gauge")))
    made.storage.commit()
    async with made as stage:
        token = stage.tokens[Role.ADMIN]
        told = await asked(stage.server.url, "DELETE /v1/kills?feature=..", token=token)
        assert told.status == 200, told
        left = await asked(stage.server.url, "GET /v1/kills", token=token)
        assert left.body == b'{"version":4,"features":["gauge"]}'


async def test_a_preflight_is_allowed_nothing(ask):
    told = await ask(
        "OPTIONS /v1/rollouts", "Origin: https://evil.example",
        "Access-Control-Request-Method: POST", "Access-Control-Request-Headers: authorization",
    )  # fmt: skip
    assert told.status == 405
    assert not [name for name in told.headers if name.startswith("access-control")]


async def test_only_names_of_this_gateway_are_answered_to(stage, ask):
    for host in ("127.0.0.1", "localhost", "localhost:8140", "LOCALHOST", "[::1]", "[::1]:80", "10.1.2.3:8140",
                 "console.example", "Console.Example:443", "console.example."):  # fmt: skip
        assert (await ask("GET /v1/fleet", host=host)).status == 200, host
    for host in ("evil.example", "localhost.evil.example", "console.example.evil.example", "127.0.0.1.nip.example",
                 "evil.example:127.0.0.1", "127.0.0.1@evil.example", "[::1]evil.example", "", "127.0.0.1:x"):  # fmt: skip
        for path in ("/v1/fleet", "/console/", "/livez"):
            told = await ask(f"GET {path}", host=host)
            assert told.status in (400, 421), (host, told)
            told.problem()
    assert (await ask("GET /v1/fleet HTTP/1.0", host=None)).status == 421
    told = await ask("GET /v1/fleet", "Host: evil.example")
    assert told.status == 400, "two hosts"
    told = await ask("GET http://evil.example/v1/fleet", host="evil.example")
    assert told.status in (400, 404, 421)


async def test_a_request_with_two_lengths_is_no_request(stage, ask):
    chunked = b"0\r\n\r\n"
    smuggled = b"GET /v1/tokens HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    for headers in (
        ["Content-Length: 5", "Transfer-Encoding: chunked"],
        ["Transfer-Encoding: chunked", "Content-Length: 50"],
        ["Content-Length: 5", "Content-Length: 6"],
        ["Content-Length: +5"],
        ["Content-Length: -1"],
        ["Content-Length: 5, 6"],
        ["Content-Length: 0x5"],
        ["Content-Length: " + "9" * 5000],
        ["Transfer-Encoding: xchunked"],
        ["Transfer-Encoding: chunked, identity"],
        ["Transfer-Encoding: identity", "Content-Length: 5"],
        ["Transfer-Encoding : chunked"],
        ["Transfer-Encoding:\x0bchunked"],
        ["X: y\rTransfer-Encoding: chunked"],
    ):
        answer = await spoken(
            stage.server.url,
            "\r\n".join(
                ["POST /v1/rollouts HTTP/1.1", "Host: 127.0.0.1", JSON, *headers, "", ""]
            ).encode("latin1") + chunked + smuggled,
        )  # fmt: skip
        told = first_of(answer)
        assert told.status in (400, 413, 431, 501), (headers, told)
        told.problem()
        assert answer.count(b"HTTP/1.1 ") == 1, f"{headers}: the smuggled request was answered"
    told = await ask("POST /v1/rollouts HTTP/1.0", "Transfer-Encoding: chunked", JSON, body=chunked)
    assert told.status == 400, told


async def test_bad_chunks_end_the_connection(tmp_path):
    http = msgspec.structs.replace(FREE, body_s_max=0.3)
    async with ApiStage(tmp_path, http) as stage:
        await chunks(stage)


async def chunks(stage):
    head = b"POST /v1/rollouts HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    head += b"Authorization: Bearer " + stage.tokens[Role.ADMIN].encode()
    head += b"\r\nTransfer-Encoding: chunked\r\n\r\n"
    for chunk in (
        b"zz\r\n",
        b"-1\r\n{}\r\n",
        b"5\r\n{}",
        b"2\r\n{}xx0\r\n\r\n",
        b"f" * 40 + b"\r\n",
    ):
        answer = await spoken(stage.server.url, head + chunk + b"0\r\n\r\n")
        assert first_of(answer).status in (400, 408, 413, 422), (chunk, answer)
        assert answer.count(b"HTTP/1.1 ") <= 1


async def test_the_method_is_the_one_on_the_first_line(ask):
    for name in ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"):
        assert (await ask("GET /v1/kills/gauge", f"{name}: PUT")).status == 405
        assert (await ask("POST /v1/kills?_method=DELETE", f"{name}: DELETE")).status == 405
    for method in ("TRACE", "CONNECT", "PROPFIND", "X" * 100):
        assert (await ask(f"{method} /v1/fleet")).status == 405, method
    assert (await ask("GET /v1/kills")).body == KILLS


async def test_what_is_no_http_is_told_so_as_a_problem(stage):
    for words in (b"NONSENSE\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET /\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
                  b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00" + bytes(64) + b"\r\n\r\n",
                  b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nA\x00b: c\r\n\r\n", bytes(range(256)) + b"\r\n\r\n",
                  b"GET\r\n\r\n"):  # fmt: skip
        told = first_of(await spoken(stage.server.url, words))
        assert told.status in (400, 505), (words, told)
        told.problem()
        assert told.headers["x-content-type-options"] == "nosniff"
        assert told.headers["connection"] == "close"


async def test_heads_have_a_size(stage, ask):
    for line, *headers in (
        ["GET /v1/" + "a" * 100_000],
        ["GET /v1/devices?cursor=" + "a" * 100_000],
        ["GET /v1/fleet", "X: " + "a" * 100_000],
        ["GET /v1/fleet", *[f"X-{number}: y" for number in range(10_000)]],
    ):
        told = await ask(line, *headers)
        assert told.status in (0, 431), (line[:40], told)
    told = first_of(await spoken(stage.server.url, b"GET /" + b"a" * 20_000))
    assert told.status == 431, told
    told.problem()


async def test_json_has_a_depth_and_numbers_an_end(ask):
    def flag(text):
        return b'{"definition": {"state": "ENABLED", "variants": {"on": true}, "defaultVariant": "on", "metadata": {"x": %s}}}' % text  # fmt: skip

    for inside in (b"[" * 100_000, b"[" * 50_000 + b"]" * 50_000, b'{"a":' * 20_000 + b"1" + b"}" * 20_000,
                   b"[" * 900 + b"]" * 900, b"[" * 300 + b"]" * 300, b"9" * 5_000, b"9" * 100, b"1e999", b"-1e999", b"NaN", b"Infinity",
                   b'"\\ud800"', b'"\xff"'):  # fmt: skip
        for body, line in ((flag(inside), "PUT /v1/flags/all/x"), (inside, "POST /v1/rollouts")):
            told = await ask(line, JSON, f"Content-Length: {len(body)}", body=body)
            assert told.status in (400, 409, 422), (line, inside[:20], told)
            told.problem()
    twice = b'{"id": "a", "id": "b", "bundle": "b@1.0.0", "__proto__": {"x": 1}}'
    told = await ask("POST /v1/rollouts", JSON, f"Content-Length: {len(twice)}", body=twice)
    assert told.status == 422


PATHS = (
    "../../etc/passwd", "..%2f..%2fetc%2fpasswd", "%2e%2e/%2e%2e/etc/passwd", "%252e%252e%252fetc%252fpasswd",
    "..%c0%af..%c0%afetc/passwd", "..%5c..%5cetc%5cpasswd", "..\\..\\etc\\passwd", "/etc/passwd", "%2fetc%2fpasswd",
    "//etc/passwd", "....//....//etc/passwd", "index.html%00.png", "%00", "a%00b", "%ef%bc%8e%ef%bc%8e%ef%bc%8fetc",
    "%e2%80%a5/etc/passwd", "C:%5cwindows", "file:%2f%2f%2fetc%2fpasswd", "~root", "js/..%2f..%2f__init__.py",
    "..%2f__init__.py", "../__init__.py", "con", "%ff%fe", "%", "%zz", "a" * 300, "a/" * 300, ".", "..", "%2e", "%2e%2e",
)  # fmt: skip
"""Ways out of a folder."""
PLACES = (
    "/console/", "/v1/bundles/", "/v1/blobs/", "/v1/releases/", "/v1/devices/", "/v1/flags/", "/v1/flags/all/",
    "/v1/rollouts/", "/v1/experiments/",
)  # fmt: skip


OWN = (
    b"<!doctype ht",
    b'{"devices":[',
    b'{"bundles":[]',
    b'{"releases":',
    b'{"segments":',
    b'{"rollouts":',
)
"""How answers begin that are no file of somebody else."""


async def test_no_path_leads_out_of_its_folder(stage, ask, tmp_path):
    (tmp_path / "secret").write_text("root:x:0:0")
    for place in PLACES:
        for path in (*PATHS, "..%2fsecret", "../secret", "../../../secret"):
            told = await ask(f"GET {place}{path}")
            assert told.status in (200, 307, 400, 404, 405, 422), (place, path, told)
            assert b"root:" not in told.body, (place, path)
            assert b"from __future__" not in told.body, (place, path)
            assert told.status != 200 or told.body[:12].lower() in OWN, (place, path, told)  # fmt: skip


async def test_no_path_writes_outside_of_its_folder(ask, tmp_path):
    before = sorted(str(file) for file in tmp_path.rglob("*") if "gateway.db" not in file.name)
    for path in PATHS:
        for line in (f"PUT /v1/blobs/{path}", f"DELETE /v1/blobs/{path}"):
            told = await ask(line, "Content-Length: 1", body=b"x")
            assert told.status in (400, 404, 405, 422), (line, told)
    after = sorted(str(file) for file in tmp_path.rglob("*") if "gateway.db" not in file.name)
    assert after == before


async def test_an_upload_is_never_longer_than_it_said(stage, ask, tmp_path):
    url = "PUT /v1/blobs/" + "ab" * 32
    huge = f"Content-Length: {2**62}"
    told = await ask(url, huge, body=b"x")
    assert told.status in (413, 422), told
    told = await ask(url, "Content-Range: bytes 0-3/4", "Content-Length: 9", body=b"123456789")
    assert told.status == 422, told
    chunked = b"9\r\n123456789\r\n0\r\n\r\n"
    said = ("Content-Range: bytes 0-3/4", "Transfer-Encoding: chunked")
    assert (await ask(url, *said, body=chunked)).status == 422
    assert (await ask(url, "Transfer-Encoding: chunked", body=chunked)).status == 422, "no length"
    told = await ask(url, f"Content-Range: bytes 0-0/{2**50}", "Content-Length: 1", body=b"x")
    assert told.status == 422, told
    parts = list((tmp_path / "blobs" / "uploads").iterdir())
    assert sum(part.stat().st_size for part in parts) <= 4


async def test_filters_take_no_time_whatever_they_hold(stage, ask):
    await stage.enroll(20)
    nasty = ("a" * 3_000 + "!", "(a+)+$", "%25" * 1_000, "*" * 3_000, "[" * 3_000, "\\" * 3_000)
    for word in nasty:
        quoted = word.replace("%", "%25").replace("[", "%5B").replace("\\", "%5C")
        for name in ("label=region:", "version=", "state=", "cursor="):
            told = await ask(f"GET /v1/devices?{name}{quoted}")
            assert told.status in (200, 422), (name, word[:10], told)
    many = "&".join("label=a:b" for _ in range(1_000))
    assert (await ask(f"GET /v1/devices?{many}")).status in (200, 422)


async def test_every_answer_carries_the_headers_that_browsers_heed(ask):
    for line in (
        "GET /v1/fleet",
        "GET /console/",
        "GET /v1/nothing",
        "GET /livez",
        "PUT /v1/kills/x",
    ):
        headers = (await ask(line)).headers
        policy = headers["content-security-policy"]
        for word in ("default-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "object-src 'none'"):  # fmt: skip
            assert word in policy, line
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert headers["cross-origin-opener-policy"] == "same-origin"
        assert "camera=()" in headers["permissions-policy"]
        assert headers["cache-control"] == ("no-cache" if "console" in line else "no-store"), line
        assert "strict-transport-security" not in headers, "said over plain HTTP it means nothing"
        assert "server" not in headers


async def test_text_that_reads_otherwise_than_it_is_is_refused(ask):
    for sign in ("\u202a", "\u202e", "\u2066", "\u2069"):
        body = json.dumps({"labels": {"site": f"safe{sign}gnp.exe"}}, ensure_ascii=False).encode()
        told = await ask(
            "PUT /v1/devices/d-1/labels", JSON, f"Content-Length: {len(body)}", body=body
        )
        assert told.status == 422
        assert "direction" in told.problem()["detail"]
        quoted = "".join(f"%{one:02x}" for one in f"a{sign}b".encode())
        assert (await ask(f"PUT /v1/kills/{quoted}")).status == 422
    body = json.dumps({"labels": {"site": "\u05d0\u05ea\u05e8 \u200f1"}}).encode()
    told = await ask("PUT /v1/devices/d-1/labels", JSON, f"Content-Length: {len(body)}", body=body)
    assert told.status == 200, "letters that are written from the right are text"
