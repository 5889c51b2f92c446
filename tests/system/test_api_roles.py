"""Each role against each operation, and every verb's permission against its operation's."""

from typing import get_args

import pytest

from gateway.api.needs import ANYBODY, OPEN, OPERATIONS
from gateway.core.access.roles import GRANTS, Permission, Role
from gateway.runtime import verbs
from gateway.runtime.permissions import NEEDS
from tests_kit.agent_bundles import Bundle
from tests_kit.api_stage import ApiStage
from tests_kit.rehearsed import PLAYER

HEX = "ab" * 32
VALUES = {
    "device": "d-00000", "sha256": HEX, "name": "nobody", "bundle": "nothing", "id": "none", "segment": "all",
    "flag": "x", "feature": "gauge", "number": "1", "alarm": "17", "seed": "1",
}  # fmt: skip
HOW = {"steer_rollout": "pause", "steer_experiment": "stop", "decide_approval": "deny"}
QUERIES = dict.fromkeys(("list_drift_scores", "show_histogram"), "?cohort=a&feature=b")
QUERIES["revive_named"] = "?feature=gauge"
BODIES = {
    "enroll_device": {"labels": {}},
    "publish_bundle": {"digest": HEX},
    "register_role": {"digest": HEX},
    "create_rollout": {"id": "r", "bundle": "b@1.0.0"},
    "create_experiment": {
        "id": "e",
        "bundle": "b@2.0.0",
        "production": "b@1.0.0",
        "mode": "shadow",
    },
    "set_flag": {"definition": {}},
    "grant_debug": {"device": "d-00000", "why": "to see"},
    "revoke_debug": {"why": "seen"},
    "make_token": {"name": "another", "role": "viewer"},
    "decide_approval": {"why": ""},
    "preview_rollout": {"id": "r9", "bundle": "gauge@1.1.0"},
    "rehearse_plan": {"id": "r9", "bundle": "gauge@1.1.0"},
    "rehearse_rollout": {},
    "cancel_rehearsal": {"why": ""},
    "approve_rollout": {"why": ""},
    "deny_rollout": {"why": ""},
    "acknowledge_alarm": {"why": ""},
    "silence_alarm": {"lasts": "1h"},
}
REHEARSED = {
    "list_rehearsals": 200, "show_rehearsal": 200, "show_shape": 200, "download_report": 200, "rehearse_plan": 202,
    "rehearse_rollout": 202,
}  # fmt: skip
"""What those who may are answered, because there is a rehearsal, and somewhere to rehearse."""
STREAMS = {"events"}
VERBS = {
    "show_fleet": verbs.Overview, "list_devices": verbs.ListDevices, "show_device": verbs.ShowDevice,
    "enroll_device": verbs.EnrollDevice, "publish_bundle": verbs.PublishBundle, "list_releases": verbs.ListReleases,
    "register_role": verbs.RegisterRole, "create_rollout": verbs.CreateRollout,
    "steer_rollout": verbs.SteerRollout, "set_flag": verbs.SetFlag, "kill": verbs.Kill, "revive": verbs.Kill, "revive_named": verbs.Kill,
    "create_experiment": verbs.CreateExperiment, "steer_experiment": verbs.SteerExperiment,
    "list_experiments": verbs.ListExperiments, "grant_debug": verbs.GrantDebug, "revoke_debug": verbs.RevokeDebug,
    "list_debug_grants": verbs.ListDebug, "show_debug_told": verbs.ShowDebug, "list_bundles": verbs.ListBundles,
    "show_bundle": verbs.ShowBundle, "list_segments": verbs.ListSegments, "show_segment": verbs.ShowSegment,
    "list_kills": verbs.ListKills, "show_drift": verbs.ShowDrift, "list_drift_scores": verbs.ListScores,
    "show_histogram": verbs.ShowHistogram,
    "show_transfers": verbs.ShowTransfers, "list_rollouts": verbs.PageRollouts, "show_rollout": verbs.ShowRollout,
    "list_alarms": verbs.ListAlarms, "show_alarm": verbs.ShowAlarm, "silence_alarm": verbs.SilenceAlarm,
    "acknowledge_alarm": verbs.AcknowledgeAlarm,
    "preview_rollout": verbs.PreviewRollout, "approve_rollout": verbs.ApproveRollout, "deny_rollout": verbs.DenyRollout,
}  # fmt: skip
"""Operations that are one verb."""
ELSEWHERE = {
    "metrics": Permission.READ, "events": Permission.READ, "show_labels": Permission.READ,
    "show_device_history": Permission.READ, "show_rollout_history": Permission.READ,
    "show_flag": Permission.READ, "show_experiment": Permission.READ, "probe_blob": Permission.PUBLISH,
    "upload_blob": Permission.PUBLISH, "download_blob": Permission.PUBLISH, "forget_upload": Permission.PUBLISH, "open_archive": Permission.PUBLISH,
    "list_audit": Permission.AUDIT, "show_audit_head": Permission.AUDIT, "list_tokens": Permission.TOKENS,
    "make_token": Permission.TOKENS, "revoke_token": Permission.TOKENS, "list_approvals": Permission.READ,
    "decide_approval": Permission.APPROVE, "list_rehearsals": Permission.READ, "show_rehearsal": Permission.READ,
    "show_shape": Permission.READ, "download_report": Permission.READ, "rehearse_plan": Permission.ROLL_OUT,
    "rehearse_rollout": Permission.ROLL_OUT, "cancel_rehearsal": Permission.ROLL_OUT,
}  # fmt: skip
"""Operations that are none, or more than one."""


def needed(operation):
    kind = VERBS.get(operation)
    return ELSEWHERE[operation] if kind is None else NEEDS[kind]


def test_the_tables_agree_on_what_each_operation_needs():
    assert {name: needed(name) for name in OPERATIONS} == OPERATIONS
    doors_only = {verbs.ListRollouts}  # the API has pages of them
    clerical = set(get_args(verbs.Clerical))  # the API has routes of its own for them
    assert set(NEEDS) - set(VERBS.values()) == doors_only | clerical


@pytest.fixture
async def stage(tmp_path):
    async with ApiStage(tmp_path, command=PLAYER) as made:
        await made.enroll(1)
        await rehearsed(made)
        yield made


async def rehearsed(stage):
    """A rollout, and a rehearsal of it that held."""
    bundle = Bundle(1)
    for blob, _ in bundle.blobs.values():
        stage.blobs.put(blob)
    async with stage.client() as admin:
        body = {"digest": bundle.digest.hex()}
        assert (await admin.post("/v1/bundles", json=body)).status_code == 201
        body = {"id": VALUES["id"], "bundle": bundle.manifest.name}
        assert (await admin.post("/v1/rollouts", json=body)).status_code == 201
        again = f"/v1/rollouts/{VALUES['id']}/rehearse"
        assert (await admin.post(again, json={})).status_code == 202
    await stage.rehearsed(1)


def operations(stage):
    for path, told in stage.app.openapi()["paths"].items():
        for method, operation in told.items():
            name = operation["operationId"]
            yield name, method, path.format(**VALUES, how=HOW.get(name, "")) + QUERIES.get(name, "")


async def asked(client, method, url, name):
    """Status of one request; of a stream, without waiting for its end."""
    body = {"content": b"x"} if name == "upload_blob" else {"json": BODIES.get(name)}
    async with client.stream(method.upper(), url, **body) as response:
        if name not in STREAMS or response.status_code != 200:
            await response.aread()
        return response


@pytest.mark.parametrize("role", list(Role))
async def test_a_role_may_do_what_its_permissions_say_and_nothing_else(stage, role):
    wrong = []
    async with stage.client(role) as client:
        for name, method, url in operations(stage):
            status = (await asked(client, method, url, name)).status_code
            may = name in OPEN | ANYBODY or OPERATIONS[name] in GRANTS[role]
            if (status == 403) is may or status in (401, 500):
                wrong.append(f"{role.value} {method} {url}: {status}, may: {may}")
            if may and status != REHEARSED.get(name, status):
                wrong.append(f"{role.value} {method} {url}: {status}, not {REHEARSED[name]}")
    assert wrong == []


async def test_nobody_gets_anywhere_without_a_good_token(stage):
    revoked = stage.tokens[Role.VIEWER]
    async with stage.client() as admin:
        assert (await admin.delete("/v1/tokens/the-viewer")).status_code == 200
    bad = (
        None,
        "Bearer fd_the-admin_nonsense",
        "Bearer x",
        "Basic YTpi",
        f"Bearer {revoked}",
        "Bearer  x",
    )
    wrong = []
    async with stage.client(None) as client:
        for name, method, url in operations(stage):
            for word in bad:
                client.headers.pop("Authorization", None)
                if word is not None:
                    client.headers["Authorization"] = word
                response = await asked(client, method, url, name)
                if (response.status_code == 401) is (name in OPEN):
                    wrong.append(f"{method} {url} with {word}: {response.status_code}")
                elif response.status_code == 401:
                    assert response.headers["WWW-Authenticate"].startswith("Bearer")
    assert wrong == []


async def test_a_scoped_token_does_not_reach_beyond_its_labels(stage):
    async with stage.client() as admin:
        body = {"name": "eu", "role": "admin", "life": "1h", "labels": {"region": "eu"}}
        token = (await admin.post("/v1/tokens", json=body)).json()["token"]
    async with stage.client(None) as client:
        client.headers["Authorization"] = f"Bearer {token}"
        put = "/v1/devices/e-1/labels"
        assert (await client.put(put, json={"labels": {"region": "us"}})).status_code == 403
        assert (await client.put(put, json={"labels": {"region": "eu"}})).status_code == 200
        assert (await client.put("/v1/kills/gauge")).status_code == 403
        more = {"name": "more", "role": "viewer"}
        assert (await client.post("/v1/tokens", json=more)).status_code == 403
