"""Spans of a gateway: one trace from a request to the broker, a collector that is away, and nobody who listens."""

import asyncio
import re
import ssl
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from devicesdk.aio.clock import RealClock
from gateway.adapters.certificates import Authority
from gateway.adapters.tracing import OtlpTracing, url_of
from gateway.config import ConfigError, TelemetrySection
from gateway.core.access.roles import Role
from gateway.runtime.tracing import ATTRIBUTES
from tests_kit.agent_bundles import Bundle
from tests_kit.alarm_site import ROOT, Failing, Site
from tests_kit.api_stage import PATIENCE_S, ApiStage
from tests_kit.otlp_stage import Collector
from tests_kit.plant import until

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
STRANGER = "00-11111111111111111111111111111111-2222222222222222-01"


def listening(stage, url, **more):
    """Let a stage tell a collector; what `gateway/service.py` does before it starts."""
    tracing = OtlpTracing(TelemetrySection(otlp_endpoint=url, **more), RealClock(), ATTRIBUTES)
    stage.runtime._tracing = stage.office._tracing = tracing
    stage.app.state.entrance.tracing = tracing
    return tracing


def site(folder, url, **more):
    made = Site(folder)
    words = "".join(f"{key} = {value}\n" for key, value in more.items())
    with (folder / "gateway.toml").open("a") as file:
        file.write(f'[telemetry]\notlp_endpoint = "{url}"\n{words}')
    return made


@pytest.mark.mosquitto
def test_one_trace_leads_from_the_request_to_the_broker(tmp_path):
    with Collector() as collector:
        gateway = site(tmp_path, collector.url, service_name='"of-the-test"')
        gateway.serve()
        devices = None
        try:
            bundle = Bundle(1)
            gateway.publish(bundle)
            gateway.ask(
                "PUT", "/v1/devices/d-1/labels", {"labels": {"secret-label": "secret-value"}}
            )
            devices = Failing(gateway.broker_port, ("d-1",), b"\1" * 32)
            collector.wait_for("commit")
            gateway.until(lambda: any(s.told["fleetdrill.commit.verbs"] == 0 for s in collector.named("commit")), "a commit of a device's message")  # fmt: skip
            gateway.api.headers["traceparent"] = CALLER
            gateway.ask("POST", "/v1/rollouts", {"id": "r1", "bundle": bundle.manifest.name})
            del gateway.api.headers["traceparent"]
            collector.wait_for("request POST", "verb rollout.create", "publish want")
            stranger = {"traceparent": STRANGER, "Authorization": "Bearer fd_no_token_of_ours"}
            assert gateway.api.get("/v1/rollouts", headers=stranger).status_code == 401
            (entry,) = [e for e in gateway.ask("GET", "/v1/audit")["entries"] if e["verb"] == "rollout.create"]  # fmt: skip
            token = gateway.api.headers["Authorization"].split()[1]
            metrics = gateway.api.get("/metrics").text
        finally:
            if devices is not None:
                devices.close()
            gateway.end()
        ours = CALLER.split("-")[1]
        mine = {span.name: span for span in collector.spans if span.trace == ours}
        chain = ["request POST", "verb rollout.create", "commit", "publish want"]
        assert set(mine) >= set(chain)
        assert [mine[name].parent for name in chain] == [CALLER.split("-")[2], *(mine[n].id for n in chain[:-1])]  # fmt: skip
        request, verb, commit, publish = (mine[name].told for name in chain)
        assert request == {"http.request.method": "POST", "http.route": "/v1/rollouts", "http.response.status_code": 201}  # fmt: skip
        assert verb == {"fleetdrill.verb": "rollout.create", "fleetdrill.subject": "r1", "fleetdrill.outcome": "done",
                        "fleetdrill.audit_number": entry["number"]}  # fmt: skip
        assert commit["fleetdrill.commit.rows"] > 0 < commit["fleetdrill.commit.us"]
        assert commit["fleetdrill.commit.verbs"] == 1
        assert (publish["fleetdrill.topic_kind"], publish["messaging.batch.message_count"]) == ("want", 1)  # fmt: skip
        assert publish["fleetdrill.bytes"] > 0
        assert mine["publish want"].began_ns < mine["publish want"].ended_ns, (
            "an instant of no length"
        )
        assert {span.service for span in collector.spans} == {"of-the-test"}
        assert {name for span in collector.spans for name in span.told} <= ATTRIBUTES
        assert all(span.began_ns <= span.ended_ns for span in collector.spans)
        assert mine["verb rollout.create"].began_ns >= mine["request POST"].began_ns
        assert STRANGER.split("-")[1] not in {span.trace for span in collector.spans}
        for secret in (token, "secret-value", "secret-label", "no_token_of_ours", "Bearer"):
            assert not any(secret.encode() in body for body in collector.bodies), secret
        exported = re.search(r'^fleetdrill_trace_spans_total\{outcome="exported"\} (\d+)', metrics, re.MULTILINE)  # fmt: skip
        assert exported is not None
        assert int(exported[1]) > 0


async def test_a_collector_that_is_away_costs_spans_and_nothing_else(tmp_path):
    async with ApiStage(tmp_path) as stage, stage.client() as client:
        with Collector() as gone:
            url = gone.url
        tracing = listening(stage, url, timeout_s=0.1, queue_spans_max=2)
        for number in range(20):
            made = await client.put(f"/v1/devices/d-{number}/labels", json={"labels": {}})
            assert made.status_code == 200, made.text
        tracing.close()
        assert (await client.get("/v1/devices/d-19")).status_code == 200, "after it was closed"
        tally = tracing.tally
        await until(
            lambda: tally.dropped + tally.failed == 61, "the last request's span", PATIENCE_S
        )
        # a request, a verb and a commit each; a question has a request alone
        assert (tally.exported, tally.waiting_now) == (0, 0)
        assert tally.dropped > 0 < tally.failed
        assert tally.failed <= 20 * 3, "all that was sent was tried once"


@pytest.mark.parametrize("trusted", [True, False])
async def test_a_collector_must_show_a_certificate_that_is_trusted(tmp_path, monkeypatch, trusted):
    now = datetime.now(UTC)  # noqa: TID251 - certificates live by the calendar
    pair = Authority.create(tmp_path / "tls", now).issue_server(("127.0.0.1",), now, 1)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(pair.certificate, pair.key)
    if trusted:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", str(tmp_path / "tls" / "ca.crt"))
    with Collector(tls) as collector:
        async with ApiStage(tmp_path) as stage, stage.client() as client:
            tracing = listening(stage, collector.url, timeout_s=PATIENCE_S if trusted else 0.1)
            assert (await client.put("/v1/kills/a")).status_code == 200
            await asyncio.to_thread(tracing.close)
            tally = tracing.tally
    came = [span.name for span in collector.spans]
    assert ("verb kill" in came, bool(collector.bodies)) == (trusted, trusted)
    assert (tally.exported > 0, tally.failed > 0) == (trusted, not trusted)


async def test_none_of_the_traces_is_a_sample_of_none(tmp_path):
    with Collector() as collector:
        async with ApiStage(tmp_path) as stage, stage.client() as client:
            tracing = listening(stage, collector.url, sample=0.0)
            assert (await client.put("/v1/kills/a")).status_code == 200
            asked = {"traceparent": CALLER}
            assert (await client.put("/v1/kills/b", headers=asked)).status_code == 200
            bad = {"traceparent": CALLER * 9}
            assert (await client.put("/v1/kills/c", headers=bad)).status_code == 200
            tracing.close()
    assert {span.trace for span in collector.spans} == {CALLER.split("-")[1]}
    assert {s.told.get("fleetdrill.subject") for s in collector.named("verb kill")} == {"b"}


async def test_who_may_not_is_told_as_refused_with_the_number_of_the_entry(tmp_path):
    with Collector() as collector:
        async with ApiStage(tmp_path) as stage, stage.client(Role.VIEWER) as client:
            tracing = listening(stage, collector.url)
            assert (await client.put("/v1/kills/a")).status_code == 403
            tracing.close()
    (verb,) = collector.named("verb kill")
    assert (verb.told["fleetdrill.outcome"], verb.told["fleetdrill.code"]) == ("refused", "forbidden")  # fmt: skip
    assert verb.told["fleetdrill.audit_number"] > 0
    assert not verb.failed, "a refusal is no failure of ours"


@pytest.mark.mosquitto
def test_a_gateway_that_tells_nobody_imports_nothing_of_the_sdk(tmp_path):
    gateway = Site(tmp_path)
    probe = "import sys, gateway.runtime.runtime, gateway.runtime.office; print([m for m in sys.modules if m.startswith('opentelemetry')])"  # fmt: skip
    done = subprocess.run([sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, check=True)  # fmt: skip
    assert done.stdout == "[]\n", "core, ports and runtime know nothing of it"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPROFILEIMPORTTIME", "1")
        gateway.serve()
        gateway.ask("PUT", "/v1/kills/a", None)
        gateway.end()
    imported = set(re.findall(r"^import time:.*\| +(\S+)$", gateway.said, re.MULTILINE))
    assert "gateway.runtime.tracing" in imported, "the log of imports is there"
    # FastAPI itself imports OpenTelemetry's interfaces; what tells anybody is in these.
    ours = ("gateway.adapters.tracing", "opentelemetry.sdk", "opentelemetry.exporter", "opentelemetry.proto")  # fmt: skip
    assert [name for name in imported if name.startswith(ours)] == []
    assert "fleetdrill_trace_spans" not in gateway.said


@pytest.mark.parametrize("url", ["collector:4318", "ftp://c:1", "http://", "http://me:word@c:4318"])
def test_an_endpoint_that_is_none_is_refused_without_being_repeated(url):
    with pytest.raises(ConfigError, match="expected otlp_endpoint") as refused:
        url_of(url)
    assert "word" not in str(refused.value).replace("password", "")


def test_an_endpoint_without_a_path_has_the_usual_one():
    assert url_of("http://c:4318") == url_of("http://c:4318/") == "http://c:4318/v1/traces"
    assert url_of("https://c/otlp/traces?x=1") == "https://c/otlp/traces?x=1"


async def test_verbs_that_share_a_commit_have_each_their_own_trace_and_number(tmp_path):
    with Collector() as collector:
        async with ApiStage(tmp_path) as stage, stage.client() as client:
            tracing = listening(stage, collector.url)
            await asyncio.gather(*(client.put(f"/v1/kills/f{number}") for number in range(8)))
            tracing.close()
    verbs = collector.named("verb kill")
    commits = {span.parent: span for span in collector.named("commit")}
    sent = {span.parent: span for span in collector.named("publish kill")}
    assert len({span.trace for span in verbs}) == len(verbs) == 8
    assert len({span.told["fleetdrill.audit_number"] for span in verbs}) == 8
    for verb in verbs:
        commit = commits[verb.id]
        assert sent[commit.id].trace == commit.trace == verb.trace
        assert sent[commit.id].told["messaging.batch.message_count"] == 1
