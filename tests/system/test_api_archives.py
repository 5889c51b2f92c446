"""Archives over HTTP: uploaded like any blob, opened, published."""

from hashlib import sha256

import msgspec
import pytest

from gateway.core.access.roles import Role
from tests_kit.api_stage import FREE, ApiStage
from tests_kit.archives import STRANGER, archive


async def sent(client, packed):
    name = sha256(packed).hexdigest()
    assert (await client.put(f"/v1/blobs/{name}", content=packed)).status_code in (200, 201)
    return name


@pytest.fixture
async def stage(tmp_path):
    async with ApiStage(tmp_path) as made:
        yield made


async def test_an_archive_is_opened_and_its_bundle_published(stage):
    async with stage.client(Role.RELEASER) as client:
        name = await sent(client, archive())
        opened = await client.post(f"/v1/archives/{name}")
        assert opened.status_code == 201, opened.text
        assert opened.json()["bundle"] == "gauge@1.0.0"
        body = {"digest": opened.json()["digest"]}
        assert (await client.post("/v1/bundles", json=body)).status_code == 201
        assert (await client.get("/v1/bundles/gauge@1.0.0")).json()["digest"] == body["digest"]
        assert (await client.post(f"/v1/archives/{name}")).status_code == 404, "it was taken away"
        again = await sent(client, archive())
        assert (await client.post(f"/v1/archives/{again}")).status_code == 201, "it comes again"


async def test_what_a_stranger_has_signed_can_be_opened_and_is_not_published(stage):
    async with stage.client(Role.RELEASER) as client:
        name = await sent(client, archive(signer=STRANGER))
        opened = await client.post(f"/v1/archives/{name}")
        refused = await client.post("/v1/bundles", json={"digest": opened.json()["digest"]})
        assert refused.status_code == 422
        assert "targets" in refused.json()["detail"]


async def test_what_is_no_archive_is_told_as_a_problem(stage):
    async with stage.client(Role.RELEASER) as client:
        for packed, kind in ((archive(signer=None), "archive"), (b"PK rubbish", "archive-corrupt")):
            refused = await client.post(f"/v1/archives/{await sent(client, packed)}")
            assert refused.status_code == 422
            assert refused.json()["type"] == f"/problems/{kind}"
            assert "expected" in refused.json()["detail"]


async def test_one_that_is_too_large_is_for_the_command_line(tmp_path):
    small = msgspec.structs.replace(FREE, archive_bytes_max=1024)
    async with ApiStage(tmp_path, small) as stage, stage.client(Role.RELEASER) as client:
        refused = await client.post(f"/v1/archives/{await sent(client, archive())}")
        assert refused.status_code == 413
        assert "fleetdrill bundle publish" in refused.json()["detail"]
