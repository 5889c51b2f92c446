"""Soaks against a real mosquitto: a clean one holds, planted faults are found, a paused one goes on."""

from __future__ import annotations

import asyncio
import mmap
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from devicesdk.aio.port import Endpoint, Inbound, Listener, MqttPort
from devicesdk.wire.timebase import SECOND
from devicesim.live.path import LivePath
from devicesim.live.soak.plan import Plan
from devicesim.live.soak.run import SoakRun, Stop
from devicesim.live.soak.taps import Ears
from devicesim.live.stage import LiveStage
from devicesim.report.soak_record import SoakRecord, WindowRow

pytestmark = pytest.mark.mosquitto

MIB = 1024 * 1024
ROOT = Path(__file__).resolve().parents[2]
SCENARIO = "scenarios/soak.yaml"


class Quiet:
    """A show without an audience."""

    def began(self, devices: int, broker: str, metrics: str | None) -> None:
        """Nothing."""

    def ticked(self, elapsed_s: float, online: int, devices: int, unexplained: int) -> None:
        """Nothing."""

    def closed(self, row: WindowRow) -> None:
        """Nothing."""


@pytest.fixture(autouse=True)
def _at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def plan(devices: int, for_s: int, **changes: object) -> Plan:
    base = Plan(
        file=SCENARIO, for_ns=for_s * SECOND, devices=devices, broker="mosquitto",
        window_ns=2 * SECOND, beat_ns=3 * SECOND, metrics_port=-1,
    )  # fmt: skip
    return msgspec.structs.replace(base, **changes)


async def run(
    asked: Plan,
    folder: Path,
    prepare: Callable[[LiveStage], None] = lambda _: None,
    patience_s: int = 30,
) -> SoakRecord:
    soak = SoakRun(
        asked, folder, stop=Stop(), show=Quiet(), prepare=prepare, patience_ns=patience_s * SECOND
    )
    async with asyncio.timeout(asked.for_ns / SECOND + 600):
        return await soak.run()


def told(record: SoakRecord) -> str:
    return "\n".join([record.story, *record.stories, *(row.story for row in record.leaks)])


def test_every_message_of_a_fleet_is_accounted_for_over_two_kills_of_the_broker(
    tmp_path: Path,
) -> None:
    # In a process of its own, as a user runs it: only there does its memory say anything of a leak.
    soak = command(
        SCENARIO, "--devices", "1000", "--for", "2m", "--window", "10s", "--beat", "10s",
        "--restart-broker-every", "50s", "--broker", "mosquitto", "--out", str(tmp_path),
    )  # fmt: skip
    out, err = soak.communicate(timeout=600)
    record = read_record(tmp_path / "soak-soak")
    assert soak.returncode == 0, f"{told(record)}\n{out}\n{err}"
    assert record.unexplained == 0, told(record)
    assert record.verdict == "passed", told(record)
    assert (record.ending, record.restarts, record.devices) == ("complete", 2, 1000)
    messages = {row.kind: row for row in record.messages}
    for kind in ("tel", "have", "link", "get", "want", "kill", "flags", "dat"):
        row = messages[kind]
        assert row.once > 0, f"no {kind} was ever heard: {row}"
        assert row.said == row.once + row.waiting + sum(row.causes.values()), row
    assert messages["kill"].said >= 1000 * 5, "each kill list is counted for each device"
    assert record.latencies["reconnect"].n >= 1000, "both kills cut every connection"
    assert sum(window.restarts for window in record.windows) == 2
    leaks = {row.what: row for row in record.leaks}
    assert leaks["memory"].held is True, leaks["memory"].story
    assert leaks["memory"].allowed == "24 MB/h", "the scenario's own limit"


@pytest.mark.slow
async def test_a_broker_that_saves_at_every_change_takes_nothing_back_from_real_agents(
    tmp_path: Path,
) -> None:
    asked = plan(
        100, 40, autosave_changes=1, restart_every_ns=8 * SECOND, restart_down_ns=SECOND // 2
    )
    record = await run(asked, tmp_path)
    assert record.restarts >= 3, record.restarts
    tel = next(row for row in record.messages if row.kind == "tel")
    assert tel.once > 0, "no telemetry was ever heard"
    assert record.unexplained == 0, told(record)
    unsaved = {row.kind: row.causes.get("unsaved", 0) for row in record.messages}
    assert not any(unsaved.values()), f"acknowledged, proven, and taken back: {unsaved}"


def swallowing(
    listener_is: Callable[[Listener], bool], topic_ends: str
) -> Callable[[LiveStage], None]:
    """Plant a fault: acknowledge one QoS 1 message to the broker and tell nobody of it."""
    left = [1]

    def prepare(stage: LiveStage) -> None:
        make = stage.make_lean

        def made(
            endpoint: Endpoint, listener: Listener, loop: asyncio.AbstractEventLoop
        ) -> MqttPort:
            if not listener_is(getattr(listener, "_ears", listener)):  # behind the soak's own tap
                return make(endpoint, listener, loop)
            ears = Deaf(listener)
            ears.port = make(endpoint, ears, loop)
            return ears.port

        stage.make_lean = made

    class Deaf(Ears):
        port: MqttPort

        def __init__(self, listener: Listener) -> None:
            super().__init__(listener, lambda token, code: None)

        def on_message(self, message: Inbound) -> None:
            if left[0] and message.topic.endswith(topic_ends) and not message.retain:
                left[0] -= 1
                self.port.acknowledge(message.packet_id)
                return
            super().on_message(message)

    return prepare


@pytest.mark.parametrize(
    ("who", "topic_ends", "kind"),
    [
        (lambda listener: not isinstance(listener, LivePath), "/tel", "tel"),
        (lambda listener: isinstance(listener, LivePath), "/k", "kill"),
    ],
    ids=["up", "down"],
)
async def test_one_swallowed_message_ends_the_soak_with_its_name(
    tmp_path: Path, who: Callable[[Listener], bool], topic_ends: str, kind: str
) -> None:
    # no second kill list before the first is missed: it would stand in the place of the lost one
    asked = plan(12, 120, beat_ns=20 * SECOND)
    record = await run(asked, tmp_path, swallowing(who, topic_ends), patience_s=8)
    assert record.ending == "aborted", told(record)
    assert record.verdict == "failed"
    assert record.lasted_s < 119, "a lost message ends the soak early"
    row = next(row for row in record.messages if row.kind == kind)
    assert row.unexplained == 1, record.messages
    assert record.unexplained == 1, told(record)
    assert record.stories[0].startswith(f"{kind} ("), told(record)
    assert record.stories[0] in record.story


async def test_planted_leaks_are_found_by_their_slopes(tmp_path: Path) -> None:
    kept: list[mmap.mmap] = []
    files: list[int] = []

    def leak(began: float | None = None) -> None:
        """A MiB and a file for each tenth of a second, however late this is called."""
        loop = asyncio.get_running_loop()
        began = loop.time() if began is None else began
        while len(kept) <= 10 * (loop.time() - began):
            # Pages of its own: a heap that other tests have left behind has room for many a bytearray.
            kept.append(mmap.mmap(-1, MIB, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
            kept[-1].write(bytes(range(256)) * (MIB // 256))
            files.append(os.open(os.devnull, os.O_RDONLY))
        loop.call_later(0.1, leak, began)

    try:
        record = await run(plan(6, 24), tmp_path, lambda _: leak(), patience_s=8)
    finally:
        for file in files:
            os.close(file)
        for pages in kept:
            pages.close()
    rows = {row.what: row for row in record.leaks}
    assert rows["memory"].held is False, rows["memory"].story
    assert rows["file descriptors"].held is False, rows["file descriptors"].story
    assert rows["tasks"].held is True, rows["tasks"].story
    assert record.verdict == "failed"
    assert record.unexplained == 0, told(record)


def read_record(folder: Path) -> SoakRecord:
    return msgspec.json.decode((folder / "soak.json").read_bytes(), type=SoakRecord)


def command(*words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", "from devicesdk.cli import main; main()", "soak", *words],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_paused_soak_goes_on_where_it_was(tmp_path: Path) -> None:
    first = command(
        SCENARIO, "--devices", "9", "--for", "26s", "--window", "2s", "--beat", "3s",
        "--restart-broker-every", "8s", "--broker", "mosquitto", "--out", str(tmp_path),
    )  # fmt: skip
    folder = tmp_path / "soak-soak"
    while "broker restarted" not in read_line(first):
        pass
    first.send_signal(signal.SIGINT)
    out, err = first.communicate(timeout=300)
    assert first.returncode == 3, err
    assert "--resume" in out, out
    paused = read_record(folder)
    assert paused.ending == "paused"
    assert paused.lasted_s < 26

    second = command("--resume", str(folder))
    out, err = second.communicate(timeout=300)
    record = read_record(folder)
    assert second.returncode == 0, f"{told(record)}\n{out}\n{err}"
    assert (record.ending, record.parts, record.unexplained) == ("complete", 2, 0), told(record)
    assert record.restarts >= paused.restarts
    assert len(record.windows) > len(paused.windows)
    before = {row.kind: row for row in paused.messages}
    for row in record.messages:
        assert row.said >= before[row.kind].said, f"the books of {row.kind} began anew"
    assert not (folder / "state.msgpack").exists(), "a soak that has ended cannot go on"


def read_line(process: subprocess.Popen[str]) -> str:
    assert process.stderr is not None
    line = process.stderr.readline()
    assert line, "the soak ended before it could be paused"
    return line
