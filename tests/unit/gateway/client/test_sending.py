"""Blobs in parts, to a real API: gone on with, sent once, refused in words."""

import asyncio
from hashlib import sha256

import pytest

from gateway.client.http import HttpWay, Secret
from gateway.client.sending import send_blob
from gateway.core.access.roles import Role
from gateway.ports import BlobError
from gateway.runtime.verbs import VerbError
from tests_kit.agent_bundles import pattern
from tests_kit.api_stage import ApiStage

BLOB = pattern(1, 10_000)
DIGEST = sha256(BLOB).digest()


class Counting(HttpWay):
    """Remembers the places of the parts that were sent."""

    places = ()

    def send(self, request, *, headers=None, content=None, plain=False):
        if request.method == "PUT":
            self.places = (*self.places, headers["Content-Range"].split("/")[0])
        return super().send(request, headers=headers, content=content, plain=plain)


@pytest.fixture
async def stage(tmp_path):
    async with ApiStage(tmp_path) as made:
        yield made


def way(stage, role=Role.RELEASER):
    return Counting(
        stage.server.url, Secret(stage.tokens[role]), trust=None, entropy=bytes, sleep=lambda _: None,
        proxied=False,
    )  # fmt: skip


async def sent(there, blob=BLOB, part_bytes=4_000):
    told = []
    digest = await asyncio.to_thread(send_blob, there, blob, told.append, part_bytes)
    return digest, told


async def test_a_blob_goes_in_parts_and_only_once(stage):
    there = way(stage)
    digest, told = await sent(there)
    assert digest == DIGEST
    assert there.places == ("bytes 0-3999", "bytes 4000-7999", "bytes 8000-9999")
    assert sum(told) == len(BLOB)
    assert stage.blobs.read(DIGEST, 0, len(BLOB)) == BLOB
    again, told = await sent(there)
    assert again == DIGEST
    assert len(there.places) == 3, "what is there is not sent again"
    assert told == [len(BLOB)]
    assert await asyncio.to_thread(there.holds, DIGEST)
    assert await asyncio.to_thread(there.read, DIGEST, 5, 7) == BLOB[5:12]
    there.close()


async def test_it_goes_on_where_it_stopped(stage):
    part = stage.uploads.begin(DIGEST, 0, len(BLOB))
    part.write(BLOB[:4_500])
    part.close()
    there = way(stage)
    _, told = await sent(there)
    assert there.places == ("bytes 4500-8499", "bytes 8500-9999")
    assert sum(told) == len(BLOB)
    there.close()


async def test_a_place_that_moved_meanwhile_is_gone_to(stage):
    there = way(stage)
    told = []

    def moving(count):
        told.append(count)
        if sum(told) == 4_000:  # somebody else sends the next part
            part = stage.uploads.begin(DIGEST, 4_000, len(BLOB))
            part.write(BLOB[4_000:5_000])
            part.close()

    digest = await asyncio.to_thread(send_blob, there, BLOB, moving, 4_000)
    assert digest == DIGEST
    assert there.places == ("bytes 0-3999", "bytes 4000-7999", "bytes 5000-8999", "bytes 9000-9999")
    assert sum(told) == len(BLOB)
    there.close()


async def test_whoever_may_not_is_told_why(stage):
    there = way(stage, Role.VIEWER)
    with pytest.raises(VerbError, match="expected somebody who may publish") as wrong:
        await sent(there)
    assert wrong.value.code == "forbidden"
    with pytest.raises(VerbError, match="expected somebody who may publish"):
        await asyncio.to_thread(there.read, DIGEST, 0, 1)
    there.close()


async def test_a_blob_that_is_nowhere(stage):
    there = way(stage)
    assert not await asyncio.to_thread(there.holds, DIGEST)
    with pytest.raises(BlobError):
        await asyncio.to_thread(there.read, DIGEST, 0, 1)
    there.close()
