"""A real outage of seconds: real clients, a real mosquitto, its log and what `capture` heard of it."""

from __future__ import annotations

import asyncio
import gzip
import signal
import sys

import pytest

from devicesdk.wire.timebase import SECOND
from devicesim.recordings.curve import online_curve
from devicesim.recordings.drafting import chosen
from devicesim.recordings.reading import read_files
from tests_kit import outage

CLIENTS = 30
STEP_NS = 2 * SECOND
pytestmark = pytest.mark.mosquitto


async def fleetdrill(*words):
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "devicesdk", *words,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def ended(process, within_s=300):
    out, err = await asyncio.wait_for(process.communicate(), within_s)
    return process.returncode, out.decode(), err.decode()


def names_in(folder):
    return sorted(each.name for each in folder.iterdir())


async def until_listening(process):
    """Wait until the recorder says that it records: the broker has its subscription."""
    line = await asyncio.wait_for(process.stderr.readline(), 120)
    assert b"recording" in line, line


@pytest.mark.slow
async def test_what_is_heard_and_what_is_logged_are_one_outage(tmp_path):
    heard, logged = tmp_path / "heard.csv", tmp_path / "broker.log"
    async with outage.broker(tmp_path) as (port, process):
        recorder = await fleetdrill(
            "capture", "--broker", f"mqtt://127.0.0.1:{port}", "--for", "5m", "--out", str(heard)
        )
        await until_listening(recorder)
        wall, crowd = await outage.outage(
            port, clients=CLIENTS, lead_s=6, dark_s=12, after_s=6, keepalive_s=3
        )
        recorder.send_signal(signal.SIGINT)
        code, out, err = await ended(recorder)
        assert code == 0, err
        assert "used: log" in out
        assert f"{CLIENTS} devices" in out
        for client in crowd:
            client.end()
        wall.down()
        await asyncio.sleep(0.2)
        logged.write_bytes(process.log.read_bytes())

    ours = read_files([str(heard)]).recording
    theirs, _ = chosen(read_files([str(logged)]).recording)
    assert list(ours.edges) == list(theirs.edges), "the same clients, without the recorder itself"
    theirs = theirs.cut(
        ours.start_unix_ns - theirs.start_unix_ns,
        ours.start_unix_ns - theirs.start_unix_ns + ours.length_ns,
    )
    a, b = (online_curve(each.edges.values(), each.length_ns, STEP_NS) for each in (ours, theirs))
    # mosquitto tells whole seconds, and we hear of them when we are given a processor: somewhere within a
    # step to either side is what the log says, but for a quarter of the fleet
    for at, (x, *near) in enumerate(zip(a[1:], b, b[1:], b[2:], strict=False), 1):
        assert min(near) - CLIENTS / 4 <= x <= max(near) + CLIENTS / 4, (at, a, b)
    # a seventh is away for a while by itself, and each step is the mean of two seconds
    assert max(a) >= 0.75 * CLIENTS, f"hardly anybody came: {a}"
    assert min(a[2:]) <= 0.5 * CLIENTS, f"the wall was dark: {a}"

    packed = tmp_path / "broker.log.gz"
    packed.write_bytes(gzip.compress(logged.read_bytes()))
    await asyncio.gather(verified(heard, tmp_path / "a"), verified(packed, tmp_path / "b"))


async def verified(source, folder):
    """Import a source, and let the command hold its replay against it."""
    code, out, err = await ended(
        await fleetdrill("import", str(source), "--out", str(folder), "--verify")
    )
    assert code == 0, f"{out}\n{err}"
    assert "verified" in out
    assert names_in(folder) == ["README.md", "presence.csv", "scenario.yaml"]


async def test_no_broker_is_told_at_once(tmp_path):
    code, _, err = await ended(
        await fleetdrill(
            "capture", "--broker", "mqtt://127.0.0.1:1", "--out", str(tmp_path / "x.csv")
        )
    )
    assert code == 2
    assert "expected an MQTT 5 broker at 127.0.0.1:1" in err
    assert not (tmp_path / "x.csv").exists()
