"""HTTPS: who is let in by which TLS, which certificates are refused, and how a new one takes an old one's place."""

import asyncio
import os
import ssl
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import msgspec
import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from gateway.adapters.certificates import HTTP, Authority, Issued, client_context
from gateway.adapters.http_tls import HttpTls
from gateway.adapters.keys import KeyFileError
from gateway.core.access.roles import Role
from tests_kit.api_raw import asked, first_of, spoken
from tests_kit.api_stage import FREE, PATIENCE_S, ApiStage
from tests_kit.plant import until

ROOT = Path(__file__).parents[3]
NOW = datetime.now(UTC)  # noqa: TID251 - certificates live by the calendar
NOW_MS = int(NOW.timestamp() * 1000)
NAMES = ("localhost", "127.0.0.1", "fleet.example", "*.plants.example")


@pytest.fixture
def authority(tmp_path):
    return Authority.create(tmp_path / "tls", NOW)


def tls_of(pair, now_ms=NOW_MS):
    return HttpTls(pair.certificate, pair.key, lambda: now_ms)


@pytest.fixture
async def stage(tmp_path, authority):
    pair = authority.issue_server(NAMES, NOW, 90, HTTP)
    http = msgspec.structs.replace(FREE, head_s_max=0.5)
    async with ApiStage(tmp_path, http, tls=tls_of(pair)) as made:
        yield made


def trusting(tmp_path):
    return client_context(tmp_path / "tls" / "ca.crt")


async def test_who_trusts_the_authority_talks_over_tls(stage, tmp_path):
    assert stage.server.url.startswith("https://")
    context = trusting(tmp_path)
    async with httpx.AsyncClient(
        verify=context, base_url=stage.server.url, trust_env=False
    ) as client:
        theirs = {"Authorization": f"Bearer {stage.tokens[Role.VIEWER]}"}
        for _ in range(3):
            told = await client.get("/v1/fleet", headers=theirs)
            assert told.status_code == 200
            assert told.headers["Strict-Transport-Security"] == "max-age=31536000"
        assert (await client.get("/console/")).headers["Strict-Transport-Security"]
    await until(lambda: len(stage.server.crowd) == 0, "everybody to leave", PATIENCE_S)


async def test_the_names_of_the_certificate_are_ours(stage, tmp_path):
    def ask(host):
        return asked(stage.server.url, "GET /livez", host=host, tls=trusting(tmp_path))

    assert (await ask("fleet.example")).status == 200
    assert (await ask("one.plants.example:8140")).status == 200
    assert (await ask("plants.example")).status == 421
    assert (await ask("a.b.plants.example")).status == 421
    assert (await ask("evil.example")).status == 421
    told = await asked(stage.server.url, "PUT /v1/kills/x", "Origin: https://evil.example",
                       tls=trusting(tmp_path), token=stage.tokens[Role.ADMIN])  # fmt: skip
    assert told.status == 403
    assert "strict-transport-security" in told.headers


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
async def test_old_versions_and_strangers_are_refused_and_disturb_nobody(stage, tmp_path):
    old = trusting(tmp_path)
    old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await asked(stage.server.url, "GET /livez", tls=old)
    with pytest.raises(ssl.SSLCertVerificationError):
        await asked(stage.server.url, "GET /livez", tls=ssl.create_default_context())
    for garbage in (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", bytes(range(256)), b"\x16\x03\x01\x40\x00" + bytes(200)):  # fmt: skip
        answer = await spoken(stage.server.url.replace("https", "http"), garbage)
        assert b"HTTP/" not in answer, "plain text on the TLS port is not answered"
    told = await asked(stage.server.url, "GET /livez", tls=trusting(tmp_path))
    assert told.status == 200
    await until(lambda: len(stage.server.crowd) == 0, "everybody to leave", PATIENCE_S)


async def test_handshakes_that_do_not_end_are_bounded(tmp_path, authority):
    pair = authority.issue_server(NAMES, NOW, 90, HTTP)
    http = msgspec.structs.replace(FREE, head_s_max=1.0, connections_max=4)
    async with ApiStage(tmp_path, http, tls=tls_of(pair)) as stage:
        place = stage.server.url.removeprefix("https://").split(":")
        held = [await asyncio.open_connection(*place) for _ in range(40)]
        await until(lambda: len(stage.server.crowd) > 0, "somebody", PATIENCE_S)
        assert len(stage.server.crowd) <= 4 + 1 + 8, "before the handshake nobody was counted"
        await until(lambda: len(stage.server.crowd) == 0, "the end of patience", PATIENCE_S)
        for _, writer in held:
            writer.close()
        told = await asked(stage.server.url, "GET /livez", tls=trusting(tmp_path))
        assert told.status == 200


async def test_a_request_in_the_breath_of_the_handshake_is_answered(stage, tmp_path):
    """TLS 1.3's last flight of the client and its request arrive together."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trusting(tmp_path).wrap_bio(incoming, outgoing, server_hostname="localhost")
    reader, writer = await asyncio.open_connection(
        *stage.server.url.removeprefix("https://").split(":")
    )
    while True:
        try:
            client.do_handshake()
            break
        except ssl.SSLWantReadError:
            writer.write(outgoing.read())
            incoming.write(await reader.read(65_536))
    client.write(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    writer.write(outgoing.read())  # Finished and the request, in one write
    answer = b""
    async with asyncio.timeout(PATIENCE_S):
        while b"\r\n\r\n" not in answer:
            incoming.write(await reader.read(65_536))
            try:
                answer += client.read()
            except ssl.SSLWantReadError:
                continue
    writer.close()
    assert first_of(answer).status == 200


def test_what_cannot_be_shown_is_refused_with_a_reason(tmp_path, authority):
    good = authority.issue_server(NAMES, NOW, 90, HTTP)
    other = authority.issue_server(NAMES, NOW, 90, "other")
    expired = authority.issue_server(NAMES, NOW - timedelta(days=9), 2, "expired")
    early = authority.issue_server(NAMES, NOW + timedelta(days=9), 2, "early")
    device = authority.issue_client("dev-1", NOW, 90)
    private = load_pem_private_key(good.key.read_bytes(), None)
    locked = tmp_path / "locked.key"
    secret = BestAvailableEncryption(b"secret")
    locked.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, secret))
    empty = tmp_path / "empty"
    empty.write_bytes(b"")
    for pair, reason in (
        (Issued(good.certificate, other.key), "found another's"),
        (expired, "found that it ended"),
        (early, "found that it begins .* this machine's clock"),
        (device, "for other purposes"),
        (Issued(good.certificate, locked), "without a passphrase"),
        (Issued(good.certificate, tmp_path / "none"), "No such file"),
        (Issued(tmp_path / "none", good.key), "No such file"),
        (Issued(empty, good.key), "expected a PEM certificate"),
        (Issued(good.key, good.key), "expected a PEM certificate"),
        (Issued(good.certificate, good.certificate), "expected a PEM private key"),
    ):
        with pytest.raises(KeyFileError, match=reason):
            tls_of(pair)
    assert tls_of(good).names == ("localhost", "fleet.example", "*.plants.example")


def command(*words, cwd, **env):
    told = {k: v for k, v in os.environ.items() if not k.startswith("FLEETDRILL_")}
    return subprocess.run(
        [sys.executable, "-m", "devicesdk", *words], cwd=cwd, capture_output=True, text=True,
        env=told | {"PYTHONPATH": str(ROOT)} | env, check=False, timeout=120,
    )  # fmt: skip


def test_a_gateway_does_not_begin_with_what_it_cannot_show(tmp_path, authority):
    good = authority.issue_server(NAMES, NOW, 90, HTTP)
    other = authority.issue_server(NAMES, NOW, 90, "other")
    serve = ("gateway", "serve", "--broker", "embedded")
    told = command(*serve, cwd=tmp_path, FLEETDRILL_HTTP_CERTIFICATE=str(good.certificate))
    assert (told.returncode, "found certificate alone" in told.stderr) == (2, True), told.stderr
    told = command(
        *serve, cwd=tmp_path, FLEETDRILL_HTTP_CERTIFICATE=str(good.certificate),
        FLEETDRILL_HTTP_KEY=str(other.key),
    )  # fmt: skip
    assert (told.returncode, "found another's" in told.stderr) == (2, True), told.stderr


def serial(stage):
    place = stage.server.url.removeprefix("https://").split(":")
    return ssl.get_server_certificate((place[0], int(place[1])))


def until_another(stage, first):
    """The server looks by itself."""
    waiting = threading.Event()
    for _ in range(int(PATIENCE_S / 0.1)):
        if serial(stage) != first:
            return
        waiting.wait(0.1)
    raise AssertionError(f"waited {PATIENCE_S} s in vain for the new certificate")


async def test_a_new_certificate_is_shown_without_a_restart(stage, tmp_path, authority):
    first = await asyncio.to_thread(serial, stage)
    tls = stage.server._tls
    assert not await asyncio.to_thread(tls.look), "nothing has changed"
    good = Issued.at(tmp_path / "tls" / HTTP)
    before = good.key.read_bytes()
    good.key.write_bytes(b"half a key")
    for _ in range(3):
        assert not await asyncio.to_thread(tls.look)
    assert await asyncio.to_thread(serial, stage) == first, "what it had is kept"
    good.key.write_bytes(before)
    authority.renew_server(NAMES, NOW, 90, HTTP)
    await asyncio.to_thread(until_another, stage, first)
    told = await asked(stage.server.url, "GET /livez", tls=trusting(tmp_path))
    assert told.status == 200


def test_a_certificate_that_ends_soon_is_told_of(authority, caplog):
    tls_of(authority.issue_server(NAMES, NOW, 5, HTTP))
    assert "ends in 4 days" in caplog.text or "ends in 5 days" in caplog.text
