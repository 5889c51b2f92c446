"""The operator's door: verbs over a socket, and what it does with those who knock badly."""

import asyncio
import json
import stat
from hashlib import sha256

import msgspec
import pytest

from devicesdk.aio.clock import RealClock
from devicesdk.bundle.delta_apply import apply_in_memory
from devicesdk.wire.topics import Topics
from gateway.ports import BlobError
from gateway.runtime import door as door_module
from gateway.runtime.door import CONVERSATIONS_MAX, LINE_BYTES_MAX, Door
from gateway.runtime.knock import NoGatewayError, knock
from gateway.runtime.operator import Operator
from gateway.runtime.publishing import PublishedDelta, make_deltas
from gateway.runtime.runtime import Runtime
from gateway.runtime.verbs import Kill, Overview, ShowDevice, VerbError
from tests_kit.agent_bundles import VERIFIER, Bundle, edited
from tests_kit.fake_wires import MemoryBlobs, MemoryStorage, Wires
from tests_kit.plant import WALL_START_MS, core, until

PATIENCE_S = 60.0

ON = {"state": "ENABLED", "variants": {"on": True}, "defaultVariant": "on"}


class House:
    """A runtime with a door."""

    def __init__(self, folder):
        wires = Wires()
        self.storage, self.blobs = MemoryStorage(wires.log), MemoryBlobs()
        self.runtime = Runtime(
            core, self.storage, self.blobs, RealClock(1.0, WALL_START_MS), wires.ports, Topics()
        )
        self.door = Door(Operator(self.runtime, self.blobs, VERIFIER), folder / "gateway.sock")

    async def talk(self, *lines):
        """Say lines; returns the answers."""
        reader, writer = await asyncio.open_unix_connection(self.door.path)
        answers = []
        for line in lines:
            writer.write(line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n")
            answers.append(json.loads(await asyncio.wait_for(reader.readline(), PATIENCE_S)))
        writer.close()
        return answers

    async def do(self, verb, **fields):
        """Say one verb; returns its result."""
        (answer,) = await self.talk({"verb": verb, **fields})
        assert answer["ok"], answer
        return answer["result"]

    async def fails(self, verb, **fields):
        (answer,) = await self.talk({"verb": verb, **fields})
        assert not answer["ok"], answer
        return answer["code"], answer["error"]


@pytest.fixture
async def house(tmp_path):
    made = House(tmp_path)
    await made.runtime.start()
    await made.door.open()
    yield made
    await made.door.close()
    made.runtime.close()


async def test_an_operators_day(house):
    await house.do("device.enroll", device="kiosk-1", labels={"region": "eu"})
    bundle = Bundle(1)
    for blob, _ in bundle.blobs.values():
        house.blobs.put(blob)
    published = await house.do("bundle.publish", digest=bundle.digest.hex())
    assert published["bundle"] == "gauge@1.1.0"
    said = await house.do(
        "rollout.create", id="r1", bundle="gauge@1.1.0", waves=[0.5, 1], soak="5m"
    )
    assert said["said"][0] == "Rollout r1 was created with 2 waves for 1 devices."
    await house.do("rollout.steer", rollout="r1", how="pause")
    (view,) = await house.do("rollout.list")
    assert (view["id"], view["state"]) == ("r1", "paused")
    await house.do("flag.set", segment="all", flag="x", definition=ON)
    await house.do("kill", feature="gauge")
    overview = await house.do("overview")
    assert overview["fleet"]["kill_version"] == 1
    assert overview["counters"]["starts"] == 1
    assert (await house.do("device.show", device="kiosk-1"))["labels"] == {"region": "eu"}


async def test_a_publisher_makes_deltas_of_what_is_there_and_hands_them_over(house):
    old, new = Bundle(1), Bundle(2, image=edited(Bundle(1).image, 9_000, 500))
    for blob in (*old.blobs.values(), *new.blobs.values()):
        house.blobs.put(blob[0])
    assert await house.do("bundle.releases", bundle="gauge") == []
    await house.do("bundle.publish", digest=old.digest.hex())
    releases = await house.do("bundle.releases", bundle="gauge")
    assert [one["version"] for one in releases] == ["1.1.0"]
    assert await house.do("bundle.releases", bundle="other") == []
    images = {"int8": new.image}
    made = make_deltas(new.manifest, images, releases, house.blobs.read, house.blobs.put)
    said = await house.do(
        "bundle.publish", digest=new.digest.hex(), deltas=msgspec.to_builtins(made)
    )
    assert "A delta of" in said["said"][-1]
    (delta,) = made
    ref = delta.ref
    data = house.blobs.read(ref.blob, 0, ref.size_bytes)
    assert apply_in_memory(data, old.image, len(new.image)) == new.image
    assert PublishedDelta.of(ref) == delta


async def test_deltas_whose_blobs_are_not_what_is_said_are_refused(house):
    old, new = Bundle(1), Bundle(2, image=edited(Bundle(1).image, 9_000, 90_000))
    for blob in (*old.blobs.values(), *new.blobs.values()):
        house.blobs.put(blob[0])
    await house.do("bundle.publish", digest=old.digest.hex())
    releases = await house.do("bundle.releases", bundle="gauge")
    kept = {}

    def keep(data):
        kept[sha256(data).hexdigest()] = data
        return sha256(data).digest()

    images = {"int8": new.image}
    (delta,) = make_deltas(new.manifest, images, releases, house.blobs.read, keep)
    publish = {"digest": new.digest.hex(), "deltas": [msgspec.to_builtins(delta)]}
    code, error = await house.fails("bundle.publish", **publish)
    assert (code, delta.blob in error) == ("invalid", True)
    house.blobs.put(kept[delta.blob])
    code, error = await house.fails("bundle.publish", **publish)
    assert (code, delta.hashes in error) == ("invalid", True)
    house.blobs.put(kept[delta.hashes])
    wrong = msgspec.structs.replace(delta, size_bytes=delta.size_bytes + 1)
    publish["deltas"] = [msgspec.to_builtins(wrong)]
    code, error = await house.fails("bundle.publish", **publish)
    assert (code, "make it again" in error) == ("invalid", True)


def test_a_release_whose_image_the_store_lost_is_no_base():
    def lost(digest, offset, size):
        raise BlobError("gone")

    new = Bundle(2)
    releases = [
        {"version": "1.1.0", "release": 1, "images": {"int8": {"digest": "00" * 32, "bytes": 9}}},
        {"version": "1.2.0", "release": 2, "images": {"int8": {"digest": "00" * 32, "bytes": 9}}},
    ]
    assert make_deltas(new.manifest, {"int8": new.image}, releases, lost, sha256) == ()


async def test_devices_are_listed_by_the_page(house):
    for number in range(5):
        await house.do("device.enroll", device=f"d{number}")
    first = await house.do("device.list", limit=3)
    rest = await house.do("device.list", limit=3, after=first["next"])
    found = [view["id"] for page in (first, rest) for view in page["devices"]]
    assert found == [f"d{number}" for number in range(5)]
    assert rest["next"] is None


async def test_what_the_core_refuses_is_refused_in_its_words(house):
    code, error = await house.fails("rollout.steer", rollout="nobody", how="pause")
    assert code == "refused"
    assert "nobody" in error
    code, error = await house.fails("flag.set", segment="all", flag="x", definition={})
    assert code == "refused", error
    code, error = await house.fails("device.show", device="nobody")
    assert (code, error) == ("unknown", "expected a device that is known, found 'nobody'")


@pytest.mark.parametrize(
    ("verb", "fields", "said"),
    [
        ("device.enroll", {"device": "a/b"}, "expected a device id"),
        ("bundle.publish", {"digest": "00" * 32}, "expected a blob 0000"),
        ("rollout.create", {"id": "r", "bundle": "b@1", "soak": "5"}, "expected a duration"),
        ("rollout.create", {"id": "r", "bundle": "b@1", "waves": [2]}, "Expected `float` <= 1"),
        ("rollout.steer", {"rollout": "r", "how": "explode"}, "Invalid enum value 'explode'"),
        ("no.verb", {}, "Invalid value 'no.verb'"),
        ("kill", {"feature": "x", "more": 1}, "unknown field `more`"),
    ],
)
async def test_what_is_asked_badly_is_invalid(house, verb, fields, said):
    code, error = await house.fails(verb, **fields)
    assert code == ("unknown" if verb == "device.show" else "invalid")
    assert said in error


async def test_a_bundle_that_devices_would_refuse_is_not_taken(house):
    forged = Bundle(3, signer="director")
    for blob, _ in forged.blobs.values():
        house.blobs.put(blob)
    code, error = await house.fails("bundle.publish", digest=forged.digest.hex())
    assert code == "invalid"
    assert "expected a key trusted for targets" in error


async def test_nonsense_is_answered_and_the_conversation_goes_on(house):
    answers = await house.talk(b"{\n", b"\xff\xfe\n", b"[]\n", {"verb": "overview"})
    assert [answer["ok"] for answer in answers] == [False, False, False, True]


async def test_a_line_that_is_too_long_ends_the_conversation(house):
    reader, writer = await asyncio.open_unix_connection(house.door.path)
    writer.write(b"x" * (LINE_BYTES_MAX * 2))
    answer = json.loads(await asyncio.wait_for(reader.readline(), PATIENCE_S))
    assert answer["code"] == "invalid"
    assert "bytes a line" in answer["error"]
    assert await reader.read() == b""
    writer.close()


async def test_those_who_are_silent_lose_their_place(house, monkeypatch):
    monkeypatch.setattr(door_module, "IDLE_S_MAX", 0.05)
    reader, writer = await asyncio.open_unix_connection(house.door.path)
    assert await asyncio.wait_for(reader.read(), PATIENCE_S) == b""
    writer.close()


async def test_one_too_many_is_told_to_come_again(house):
    held = [await asyncio.open_unix_connection(house.door.path) for _ in range(CONVERSATIONS_MAX)]
    await until(lambda: len(house.door._conversations) == len(held), "all to be heard")
    reader, writer = await asyncio.open_unix_connection(house.door.path)
    answer = json.loads(await asyncio.wait_for(reader.readline(), PATIENCE_S))
    assert answer["code"] == "busy"
    for _, other in (*held, (reader, writer)):
        other.close()


async def test_a_mutation_that_a_crash_swallowed_is_not_answered_as_done(house):
    house.storage.gate.clear()
    asked = asyncio.get_running_loop().create_task(house.fails("kill", feature="gauge"))
    await until(house.storage.waiting.is_set, "the commit")
    house.runtime.crash()
    code, _ = await asked
    house.storage.gate.set()
    assert code == "stopped"


async def test_the_socket_is_its_owners_alone_and_goes_with_the_door(house):
    mode = house.door.path.stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600
    await house.door.close()
    assert not house.door.path.exists()


async def test_a_socket_that_was_left_over_is_replaced(house):
    house.door.path.touch()
    other = Door(house.door._operator, house.door.path)
    await other.open()
    await other.close()


def test_a_path_too_long_for_a_socket_is_said(tmp_path):
    with pytest.raises(ValueError, match="at most 107 bytes"):
        Door(None, tmp_path / ("x" * 100) / "gateway.sock")
    with pytest.raises(NoGatewayError, match=r"at most 107 bytes, found .* shorter name") as told:
        knock(tmp_path / ("x" * 100), Overview())
    assert "gateway serve" not in str(told.value), "nobody can start one there"


async def test_knock_says_and_hears_one_verb(house, tmp_path):
    ask = lambda verb: asyncio.to_thread(knock, tmp_path, verb)  # noqa: E731
    assert (await ask(Kill(feature="gauge")))["said"]
    assert (await ask(Overview()))["fleet"]["kill_version"] == 1
    with pytest.raises(VerbError, match="expected a device that is known"):
        await ask(ShowDevice(device="nobody"))
    await house.door.close()
    with pytest.raises(NoGatewayError, match="fleetdrill gateway serve --state") as away:
        await ask(Overview())
    assert "found none (no such file or directory)" in str(away.value)
    assert "`make serve`" in str(away.value)
    assert "FLEETDRILL_URL" in str(away.value), "it may be elsewhere"
