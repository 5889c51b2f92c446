"""``fleetdrill device run`` as a process, a real mosquitto, and a scripted gateway."""

import asyncio
import json
import subprocess
import sys
from hashlib import sha256

import numpy as np
import pytest

from devicesdk.wire.limits import REFETCH_AFTER_POWER_CUT_BYTES_MAX, ROUND_BYTES_MAX
from devicesdk.wire.messages import UpdateState
from devicesim.world.checks.transfers import asked_chunks
from tests_kit.device_stage import (
    ENVIRONMENT,
    FSYNC_S,
    LAUNCH,
    PATIENCE_S,
    SLOW_DISK,
    Device,
    GaugeBundle,
    Tower,
    gauge_image,
    kit_digest,
    mosquitto,
    rss_kib,
)
from tests_kit.left_on_disk import forgotten, map_left

pytestmark = pytest.mark.mosquitto
SMALL = GaugeBundle(gauge_image("gauge/1.0.0"), 1, kit_digest("gauge/1.0.0"))
LARGE = GaugeBundle(
    gauge_image("gauge/1.1.0", padding_bytes=4_000_000), 2, kit_digest("gauge/1.1.0")
)
RSS_ABOVE_BARE_KIB_MAX = 40 * 1024
KILLS = 8

BARE = """
import sys
import numpy as np, onnxruntime as ort
options = ort.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
options.enable_cpu_mem_arena = options.enable_mem_pattern = False
model = open(sys.argv[1], "rb").read()[: int(sys.argv[2])]
session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
del model
session.run(None, {session.get_inputs()[0].name: np.zeros((1, 1, 32, 32), np.float32)})
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def broker(tmp_path):
    with mosquitto(tmp_path) as port:
        yield port


def command(*arguments):
    return subprocess.run(
        [sys.executable, "-c", LAUNCH, *map(str, arguments)],
        check=False, capture_output=True, text=True, timeout=PATIENCE_S, env=ENVIRONMENT,
    )  # fmt: skip


def bare_rss_kib(image, size):
    """A Python that has imported numpy and onnxruntime and runs the same model, and nothing else."""
    process = subprocess.Popen(
        [sys.executable, "-c", BARE, image, str(size)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=ENVIRONMENT,
    )  # fmt: skip
    with process:
        assert process.stdout.readline() == b"ready\n"
        return rss_kib(process.pid)


@pytest.mark.parametrize("adapter", ["lean", "aiomqtt"])
async def test_a_device_updates_reports_stays_small_and_leaves_politely(tmp_path, broker, adapter):
    tower = Tower(broker, SMALL)
    await tower.open()
    tower.offer(SMALL, 1)
    with Device(tmp_path, broker, "--port-adapter", adapter) as device:
        device.start()
        have = await tower.until_state(UpdateState.COMMITTED, 1)
        assert have.running == SMALL.digest
        await tower.until("two windows", lambda t: len(t.said["tel"]) >= 2)
        assert tower.said["tel"][-1].frames >= 1
        above = device.rss_kib() - bare_rss_kib(device.state / "slot-a", len(SMALL.image))
        assert above <= RSS_ABOVE_BARE_KIB_MAX, f"{above} KiB above a bare process with the session"
        maps = (device.proc / "maps").read_text()
        assert "pydantic_core" not in maps, "the command line's libraries stayed in the device"
        second = command(*device.arguments[3:])
        assert (second.returncode, "another process" in second.stderr) == (2, True), second.stderr
        assert device.terminate() == 0, device.log
        await tower.until("offline", lambda t: not t.said["link"][-1].online)
    shown = json.loads(command("show", "--json", "--state", device.state).stdout)
    assert (shown["runs"], shown["update"]["state"], shown["boot"]) == ("a", "COMMITTED", 1)
    assert "committed runs" in command("show", "--state", device.state).stdout
    tower.close()


async def test_a_device_that_is_killed_again_and_again_resumes_and_ends_on_the_new_version(
    tmp_path, broker
):
    """kill -9 at drawn moments of the download, often in the middle of an ``fsync``, and once in the trial.

    What one kill costs is counted on the disk that it left: received, right, and not in the saved map.
    The tower's answers to two requests come interleaved, so a life may be killed before it was sent what an earlier
    kill cost. What was counted is therefore blanked: of what the map does not name, only what that life
    received is on the disk of the next kill. What the map does name no later life may ask for."""
    luck = np.random.Generator(np.random.Philox(key=20))
    tower = Tower(broker, SMALL, LARGE, frame_delay_s=0.008)
    await tower.open()
    tower.offer(SMALL, 1)
    with Device(tmp_path, broker, launch=SLOW_DISK) as device:
        device.start()
        await tower.until_state(UpdateState.COMMITTED, 1)
        tower.offer(LARGE, 2)
        cost, maps = [], []
        for kill in range(KILLS):
            await tower.until("a request of this life", lambda t, b=1 + kill: asks(t, LARGE, b))
            served = frames_of(tower, LARGE)
            more = int(luck.integers(1, 30))
            await tower.until("progress", lambda t, s=served, m=more: frames_of(t, LARGE) >= s + m)
            await asyncio.sleep(float(luck.uniform(0, 3 * FSYNC_S)))
            device.kill()
            here, lost = left(device, LARGE)
            maps.append(here)
            parts = [slice(c * LARGE.chunk_bytes, (c + 1) * LARGE.chunk_bytes) for c in lost]
            cost.append(sum(len(LARGE.image[part]) for part in parts))
            blank(device, parts)
            await asyncio.sleep(16 * tower.delay_s)  # answers to the dead do not count as progress
            device.start()
        assert max(cost) <= REFETCH_AFTER_POWER_CUT_BYTES_MAX, f"the kills cost {cost} bytes"
        assert any(cost), f"none of {KILLS} kills cost anything: the count sees nothing"
        middle = sum(0 < here.count < here.chunks for here in maps)
        assert middle >= 2, f"only {middle} of {KILLS} kills hit the middle of the image"
        await tower.until_state(UpdateState.TRIAL, 2)
        device.kill()  # once more, while it runs and is not committed
        device.start()
        have = await tower.until_state(UpdateState.COMMITTED, 2)
        assert (have.running, have.boot_id) == (LARGE.digest, 2 + KILLS)
        assert device.terminate() == 0, device.log
    for boot, here in enumerate(maps, start=1):
        again = {chunk for chunk in asked_for(tower, LARGE, boot) if chunk in here}
        assert not again, f"kill {boot} left a map with chunks {sorted(again)}: asked for again"
    on_disk = (device.state / "slot-b").read_bytes()[: len(LARGE.image)]
    assert sha256(on_disk).digest() == sha256(LARGE.image).digest()
    assert "state_lost" not in device.log
    lost_on_the_way = 2 * ROUND_BYTES_MAX  # what the kill caught between the gateway and the device
    most = len(LARGE.image) + KILLS * (lost_on_the_way + REFETCH_AFTER_POWER_CUT_BYTES_MAX)
    assert frames_of(tower, LARGE) * LARGE.chunk_bytes <= most + LARGE.chunk_bytes
    tower.close()


def frames_of(tower, bundle):
    ours = sha256(bundle.image).digest()[:8]
    return sum(count for (blob, _), count in tower.served.items() if blob == ours)


def left(device, bundle):
    """The chunk map that the kill left, and the chunks that it cost."""
    image, digest = bundle.image, sha256(bundle.image).digest()
    here = map_left(device.state, digest, len(image), bundle.chunk_bytes)
    return here, forgotten(device.state / "slot-b", here, image)


def asks(tower, bundle, boot):
    """Whether a device asked for chunks of the image in this boot: transfers are numbered by it."""
    ours = sha256(bundle.image).digest()
    return any(get.blob == ours and get.transfer >> 16 == boot for get in tower.gets)


def asked_for(tower, bundle, boot):
    """The chunks of the image that were asked for in any later boot."""
    ours = sha256(bundle.image).digest()
    for get in tower.gets:
        if get.blob == ours and get.transfer >> 16 > boot:
            yield from asked_chunks(get)


def blank(device, parts):
    """Overwrite parts of the slot on the disk of a device that is dead."""
    if parts:
        with (device.state / "slot-b").open("r+b") as slot:
            for part in parts:
                slot.seek(part.start)
                here = slot.read(part.stop - part.start)
                slot.seek(part.start)
                slot.write(bytes(len(here)))


async def test_a_full_disk_fails_the_update_and_the_device_lives_on(tmp_path, broker):
    tower = Tower(broker, SMALL)
    await tower.open()
    tower.offer(SMALL, 1)
    with Device(tmp_path, broker) as device:
        device.under = ("prlimit", "--fsize=40000")
        device.start()
        have = await tower.until_state(UpdateState.FAILED, 1)
        assert "storage" in have.reason, have
        assert len(tower.said["have"]) < 50, "a refused write must not make a storm"
        assert "storage=write slot-a: File too large" in device.log
        assert device.terminate() == 0, device.log
    tower.close()


async def test_a_device_whose_state_cannot_be_saved_stays_reachable_and_makes_no_storm(
    tmp_path, broker
):
    tower = Tower(broker, SMALL)
    await tower.open()
    with Device(tmp_path, broker) as device:
        device.under = ("prlimit", "--fsize=100")  # the log is cut as well
        device.start()
        await tower.until("a have", lambda t: t.said["have"])
        tower.offer(SMALL, 1)
        await asyncio.sleep(0.7)
        assert device.process.poll() is None
        assert device.terminate() == 0
    assert len(tower.said["have"]) < 50, "a refused save must not make a storm"
    assert not (device.state / "state").exists()
    tower.close()


def test_a_folder_without_a_device_shows_nothing(tmp_path):
    ran = command("show", "--state", tmp_path)
    assert (ran.returncode, "expected the state of a device" in ran.stderr) == (2, True)
    (tmp_path / "state").write_bytes(b"torn")
    ran = command("show", "--state", tmp_path)
    assert (ran.returncode, "runs nothing until" in ran.stderr) == (2, True)
