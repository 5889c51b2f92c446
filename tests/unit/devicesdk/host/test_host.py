"""The host with everything real but the broker, which is a port in memory."""

import asyncio
import contextlib
import json
import logging
from hashlib import sha256

import pytest
from openfeature.flag_evaluation import Reason

from devicesdk.agent.agent import Agent
from devicesdk.agent.config import AgentConfig, BackoffConfig
from devicesdk.agent.snapshot import decode_state
from devicesdk.aio.clock import RealClock
from devicesdk.aio.port import REASON_WITH_WILL, PortFullError
from devicesdk.bundle import sealed
from devicesdk.bundle.chunks import ChunkMap
from devicesdk.host.camera import DrawnCamera
from devicesdk.host.host import Host
from devicesdk.host.kit import Kit
from devicesdk.host.models import BundleShelf, Models
from devicesdk.host.notice import NoticeFile
from devicesdk.host.provider import FleetdrillProvider
from devicesdk.host.sensors import Sensors
from devicesdk.host.storage import Storage
from devicesdk.wire import codec
from devicesdk.wire.messages import Link, UpdatePolicy, UpdateState
from devicesdk.wire.timebase import MS, SECOND
from tests_kit.agent_bundles import VERIFIER, Shortcut, flags_of, kill_of, pattern, want_of
from tests_kit.device_stage import DEVICE, MODELS, GaugeBundle, gauge_image, identity, kit_digest
from tests_kit.memory_port import MemoryPort

CONFIG = AgentConfig(
    window_ns=200 * MS,
    kill_grace_ns=50 * MS,
    kill_settle_ns=10 * MS,
    backoff=BackoffConfig(base_ns=5 * MS, cap_ns=20 * MS),
)
OLD = GaugeBundle(gauge_image("gauge/1.0.0"), 1, kit_digest("gauge/1.0.0"))
NEW = GaugeBundle(gauge_image("gauge/1.1.0"), 2, kit_digest("gauge/1.1.0"))
RUBBISH = GaugeBundle(b"signed, whole, and not a model" * 1000, 3)
WANT_TOPIC = f"fd/main/d/{DEVICE}/want"


class Life:
    """One boot of a device."""

    def __init__(self, folder, *bundles, config=CONFIG, sys=None, speed=10.0, setup=None):
        self.folder, self.bundles, self.config = folder, bundles, config
        self.sys, self.speed, self.setup = sys or folder, speed, setup

    async def __aenter__(self):
        storage = Storage(self.folder)
        models = Models(storage, DrawnCamera(5), BundleShelf(()), RealClock().now)

        def make_port(listener):
            self.port = MemoryPort(listener, *self.bundles)
            if self.setup is not None:
                self.setup(self.port)
            return self.port

        self.host = Host(
            Kit(
                config=self.config,
                identity=identity(),
                verifier=VERIFIER,
                seed=11,
                storage=storage,
                models=models,
                sensors=Sensors("net0" if (self.sys / "class").exists() else "", self.sys),
                clock=RealClock(self.speed),
                make_port=make_port,
            )
        )
        self.task = asyncio.get_running_loop().create_task(self.host.run())
        await asyncio.sleep(0)
        return self

    async def __aexit__(self, *_):
        self.host.stop()
        await asyncio.wait_for(self.task, 60)

    def offer(self, bundle, generation=1, **fields):
        policy = UpdatePolicy(trial_ms=1000)
        want = want_of(bundle, generation, DEVICE, policy=policy, **fields)
        self.port.send(WANT_TOPIC, want, retain=True)

    async def until_state(self, state, generation=1):
        def holds(port):
            have = port.said["have"][-1:]
            return have and (have[0].state, have[0].generation) == (state, generation)

        await self.port.until(f"{state.name} of generation {generation}", holds)
        return self.port.said["have"][-1]


def state_of(folder):
    return decode_state((folder / "state").read_bytes())


async def installed(folder, bundle=OLD):
    async with Life(folder, bundle) as life:
        life.offer(bundle)
        await life.until_state(UpdateState.COMMITTED)


async def test_an_empty_device_takes_an_update_runs_it_and_tells_windows(tmp_path):
    async with Life(tmp_path, OLD, NEW) as life:
        life.offer(OLD)
        have = await life.until_state(UpdateState.COMMITTED)
        assert (have.running, have.variant, have.slot) == (OLD.digest, "fp32", "a")
        life.offer(NEW, 2)
        have = await life.until_state(UpdateState.COMMITTED, 2)
        assert (have.running, have.slot) == (NEW.digest, "b")
        await life.port.until(
            "a window of the new version",
            lambda p: [w for w in p.said["tel"] if w.bundle == NEW.digest[:8] and w.frames],
        )
        assert not any(window.errors for window in life.port.said["tel"])
        assert not any(
            path.endswith("/tel") and retained for path, _, _, retained in life.port.published
        )
    dial = life.port.dials[0]
    assert (dial.client_id, dial.clean_start, dial.will.retain) == (DEVICE, False, True)
    assert codec.decode(Link, dial.will.payload) == Link(boot_id=1, session=1, online=False)
    assert life.port.farewells[-1] == REASON_WITH_WILL
    slot_b = (tmp_path / "slot-b").read_bytes()
    assert sha256(slot_b[: len(NEW.image)]).digest() == sha256(NEW.image).digest()


class Hinted:
    """A bundle's small blobs and a delta's: the image itself cannot be had."""

    def __init__(self, bundle, shortcut):
        image = sha256(bundle.image).digest()
        self.blobs = {name: blob for name, blob in bundle.blobs.items() if name != image}
        self.blobs.update(shortcut.blobs)


@pytest.mark.parametrize("padding_bytes", [0, 300_000], ids=["small delta", "large delta"])
async def test_a_device_updates_by_a_delta(tmp_path, padding_bytes):
    image = OLD.image + sealed.prop("note", pattern(9, padding_bytes // 2).hex().encode())
    new = GaugeBundle(image, 4, kit_digest("gauge/1.0.0"))
    way = Shortcut(OLD, new)
    assert bool(way.ref.hashes) is bool(padding_bytes)
    async with Life(tmp_path, OLD, Hinted(new, way)) as life:
        life.offer(OLD)
        await life.until_state(UpdateState.COMMITTED)
        life.offer(new, 2, delta=way.ref)
        have = await life.until_state(UpdateState.COMMITTED, 2)
    assert have.running == new.digest
    assert (tmp_path / "slot-b").read_bytes() == image
    assert not [file for file in ("delta", "meta-delta") if (tmp_path / file).exists()]


async def test_each_start_is_a_boot_and_what_was_committed_runs_again(tmp_path):
    await installed(tmp_path)
    async with Life(tmp_path, OLD) as life:
        await life.port.until("a window", lambda port: port.said["tel"])
        assert life.port.said["have"][0].boot_id == 2
        assert life.port.said["tel"][0].bundle == OLD.digest[:8]
        assert not life.port.gateway.gets, "nothing is fetched twice"


async def test_an_image_that_cannot_run_fails_its_kit_is_banned_and_the_old_one_stays(tmp_path):
    await installed(tmp_path)
    async with Life(tmp_path, OLD, RUBBISH) as life:
        life.offer(RUBBISH, 2)
        have = await life.until_state(UpdateState.FAILED, 2)
        assert (have.reason, have.running) == ("validation:model", OLD.digest)
    assert [bad.manifest for bad in state_of(tmp_path).bad] == [RUBBISH.digest]


async def test_a_kit_that_is_not_the_signed_one_fails(tmp_path):
    other = GaugeBundle(gauge_image("gauge/1.0.0"), 4, kit_digest("gauge/1.1.0"))
    async with Life(tmp_path, other) as life:
        life.offer(other)
        assert (await life.until_state(UpdateState.FAILED)).reason == "validation:kit"


@pytest.mark.parametrize("torn", ["empty", "half", "flipped", "longer"])
async def test_a_torn_state_runs_nothing_says_so_and_takes_the_next_update(tmp_path, torn, caplog):
    await installed(tmp_path)
    path = tmp_path / "state"
    data = path.read_bytes()
    path.write_bytes(
        {"empty": b"", "half": data[: len(data) // 2], "flipped": b"\x80" + data[1:], "longer": data + b"\0"}[torn]
    )  # fmt: skip
    with caplog.at_level(logging.INFO, "fleetdrill.device"):
        async with Life(tmp_path, OLD, NEW) as life:
            await life.port.until("a first have", lambda port: port.said["have"])
            assert life.port.said["have"][0].running == b""
            assert "note=state_lost" in caplog.text
            life.offer(NEW, 5)
            assert (await life.until_state(UpdateState.COMMITTED, 5)).running == NEW.digest


async def test_a_torn_map_starts_the_transfer_over_and_ends_well(tmp_path, caplog):
    whole = ChunkMap(sha256(NEW.image).digest(), len(NEW.image), NEW.chunk_bytes)
    for chunk in range(whole.chunks):
        whole.add(chunk)
    lying = bytearray(whole.to_bytes())
    lying[45] ^= 1
    tmp_path.joinpath("map").write_bytes(bytes(lying))
    with caplog.at_level(logging.INFO, "fleetdrill.device"):
        await installed(tmp_path, NEW)
    assert "note=map_lost" in caplog.text


async def test_a_map_that_lies_about_the_image_is_found_out_by_the_whole_digest(tmp_path, caplog):
    whole = ChunkMap(sha256(NEW.image).digest(), len(NEW.image), NEW.chunk_bytes)
    for chunk in range(whole.chunks):
        whole.add(chunk)
    tmp_path.joinpath("map").write_bytes(whole.to_bytes())
    tmp_path.joinpath("slot-a").write_bytes(bytes(len(NEW.image)))
    with caplog.at_level(logging.INFO, "fleetdrill.device"):
        await installed(tmp_path, NEW)
    assert "note=image_bad a=1" in caplog.text


async def test_losses_refusals_and_a_full_port_are_survived(tmp_path):
    def hard(port):
        port.refuse_connects = ["refused: not authorized", "connection refused"]
        port.raise_on_publish = PortFullError("full")

    config = AgentConfig(
        window_ns=200 * MS,
        kill_settle_ns=10 * MS,
        publish_timeout_ns=1000 * MS,
        backoff=CONFIG.backoff,
    )
    async with Life(tmp_path, OLD, config=config, setup=hard) as life:
        life.port.send(WANT_TOPIC + "/unknown", b"", retain=True)
        life.offer(OLD)
        await life.port.until("the first request", lambda port: port.gateway.gets)
        life.port.lose("reset by peer")
        await life.until_state(UpdateState.COMMITTED)
        assert len(life.port.dials) >= 4


async def test_publishes_that_the_broker_refuses_end_in_a_new_connection(tmp_path):
    config = AgentConfig(publish_timeout_ns=200 * MS, backoff=CONFIG.backoff)

    def refuse(port):
        port.puback_code = 0x87

    async with Life(tmp_path, config=config, setup=refuse) as life:
        await life.port.until("a farewell", lambda port: len(port.dials) >= 2)
        assert REASON_WITH_WILL in life.port.farewells


async def test_what_the_broker_has_nobody_for_is_said_again(tmp_path):
    await installed(tmp_path)
    config = AgentConfig(
        window_ns=100 * MS, nobody_wait_ns=100 * MS, kill_settle_ns=10 * MS, backoff=CONFIG.backoff
    )

    def deserted(port):
        port.puback_code = 0x10

    def queued(port):
        return [said for topic, said, *_ in port.published if topic.endswith(("/tel", "/ev"))]

    def again(port):
        return len(queued(port)) > len(set(queued(port)))

    async with Life(tmp_path, OLD, config=config, setup=deserted) as life:
        await life.port.until("the first one again", again)
        life.port.puback_code = 0
        known = set(queued(life.port))
        await life.port.until("the next one", lambda port: set(queued(port)) - known)


async def test_a_carrier_that_goes_ends_the_connection_and_one_that_comes_begins_it(
    tmp_path, monkeypatch
):
    monkeypatch.setattr("devicesdk.host.host.SENSORS_PERIOD_S", 0.02)
    carrier = tmp_path / "sys/class/net/net0/carrier"
    carrier.parent.mkdir(parents=True)
    carrier.write_text("1\n")
    async with Life(tmp_path / "device", sys=tmp_path / "sys") as life:
        await life.port.until("a have", lambda port: port.said["have"])
        carrier.write_text("0\n")
        async with asyncio.timeout(60):
            while life.port.up:  # noqa: ASYNC110 - the port tells nobody
                await asyncio.sleep(0.01)
        dials = len(life.port.dials)
        await asyncio.sleep(0.1)
        assert len(life.port.dials) == dials, "nobody connects without a carrier"
        carrier.write_text("1\n")
        await life.port.until("a new connection", lambda port: len(port.dials) > dials)


async def test_conditions_that_change_are_heard(tmp_path, monkeypatch):
    monkeypatch.setattr("devicesdk.host.host.SENSORS_PERIOD_S", 0.02)
    supply = tmp_path / "sys/class/power_supply/BAT0"
    supply.mkdir(parents=True)
    for name, text in {"type": "Battery", "capacity": "15", "status": "Discharging"}.items():
        supply.joinpath(name).write_text(text)
    net = tmp_path / "sys/class/net/net0"
    net.mkdir(parents=True)
    (net / "carrier").write_text("1")
    async with Life(tmp_path / "device", OLD, sys=tmp_path / "sys") as life:
        policy = UpdatePolicy(trial_ms=1000, battery_percent_min=50)
        life.port.send(WANT_TOPIC, want_of(OLD, 1, DEVICE, policy=policy), retain=True)
        assert (await life.until_state(UpdateState.WAITING)).reason == "battery"
        supply.joinpath("capacity").write_text("80")
        await life.until_state(UpdateState.COMMITTED)


async def test_an_agent_that_breaks_ends_the_host_with_the_story(tmp_path, monkeypatch):
    def broken(self, stimulus, now):
        raise RuntimeError("the agent broke")

    life = Life(tmp_path)
    with pytest.raises(RuntimeError, match="the agent broke"):  # noqa: PT012 - one life
        async with life:
            monkeypatch.setattr(Agent, "handle", broken)
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait_for(asyncio.shield(life.task), 60)
    reopened = Storage(tmp_path)  # the folder was given back
    reopened.close()


async def test_the_speed_of_the_clock_reaches_the_keep_alive_and_the_connect_timeout(tmp_path):
    async with Life(tmp_path, speed=10.0) as life:
        await life.port.until("a have", lambda port: port.said["have"])
    dial = life.port.dials[0]
    assert dial.keepalive_s == CONFIG.keepalive_ns // SECOND // 10
    assert 1.0 < dial.timeout_s <= 2.0


def test_the_shipped_models_are_what_these_tests_install():
    assert (MODELS / "gauge/1.1.0").is_dir()


async def test_programs_on_the_device_see_flags_and_kills_as_the_agent_does(tmp_path):
    document = json.dumps(
        {"flags": {"x": {"state": "ENABLED", "variants": {"on": True}, "defaultVariant": "on"}}}
    ).encode()
    async with Life(tmp_path, OLD) as life:
        inside = FleetdrillProvider(life.host.board, watch_s=None)
        outside = FleetdrillProvider(NoticeFile(tmp_path), watch_s=None)
        life.port.send("fd/main/f/all", flags_of(1, document), retain=True)
        await life.port.until(
            "a report of the flags",
            lambda p: p.said["have"][-1:] and p.said["have"][-1].flags_rev == 1,
        )
        for provider in (inside, outside):
            found = provider.resolve_boolean_details("x", False)
            assert (found.value, found.variant, found.reason) == (True, "on", Reason.STATIC)
        life.port.send("fd/main/k", kill_of(1, "x"), retain=True)
        await life.port.until(
            "a report of the kill", lambda p: p.said["have"][-1].kill_version == 1
        )
        for provider in (inside, outside):
            found = provider.resolve_boolean_details("x", True)
            assert (found.value, found.reason) == (False, Reason.DISABLED)
