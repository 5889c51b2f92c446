"""The child process, with children that are not brokers: what is waited for, said and cleaned up."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

from gateway.adapters.brokers import process
from gateway.adapters.brokers.process import (
    BrokerError,
    BrokerProcess,
    free_port,
    leftover,
    listens,
    raise_file_limit,
    ready_folder,
)

LISTENER = """
import socket, sys, time
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("listening", flush=True)
while True:
    server.accept()[0].close()
"""


def listener(folder):
    port = free_port()
    command = (sys.executable, "-c", LISTENER, str(port))
    return BrokerProcess(command, folder, "127.0.0.1", port)


async def test_it_starts_stops_and_starts_again_on_its_port(tmp_path):
    child = listener(tmp_path)
    await child.start()
    assert child.alive
    assert listens("127.0.0.1", child.port)
    first = child.pid
    await child.stop()
    assert (child.alive, child.pid) == (False, None)
    assert not listens("127.0.0.1", child.port)
    assert not (tmp_path / "broker.pid").exists()
    await child.start()
    assert child.pid != first
    child.kill()
    assert not child.alive
    child.kill()  # twice does no harm
    await child.stop()


async def test_a_frozen_one_can_still_be_stopped(tmp_path):
    child = listener(tmp_path)
    await child.start()
    child.freeze()
    await child.stop()
    assert not child.alive


async def test_one_that_ends_at_once_is_explained_by_the_end_of_its_log(tmp_path):
    command = (sys.executable, "-c", "print('no such option: fleet'); raise SystemExit(3)")
    child = BrokerProcess(command, tmp_path, "127.0.0.1", free_port())
    with pytest.raises(BrokerError, match=r"(?s)ended with code 3.*no such option: fleet"):
        await child.start()
    assert not child.alive


async def test_one_that_never_listens_is_given_up_and_killed(tmp_path, monkeypatch):
    monkeypatch.setattr(process, "START_S_MAX", 0.2)
    command = (sys.executable, "-c", "import time; time.sleep(60)")
    child = BrokerProcess(command, tmp_path, "127.0.0.1", free_port())
    with pytest.raises(BrokerError, match=r"did not within 0\.2 s"):
        await child.start()
    assert not child.alive


async def test_one_that_will_not_end_is_killed(tmp_path, monkeypatch):
    monkeypatch.setattr(process, "STOP_S_MAX", 0.2)
    port = free_port()
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + LISTENER
    child = BrokerProcess((sys.executable, "-c", deaf, str(port)), tmp_path, "127.0.0.1", port)
    await child.start()
    await child.stop()
    assert not child.alive


async def test_a_taken_port_is_refused_before_anything_is_started(tmp_path):
    first = listener(tmp_path / "a")
    ready_folder(tmp_path / "a")
    await first.start()
    second = BrokerProcess(("nothing",), ready_folder(tmp_path / "b"), "127.0.0.1", first.port)
    with pytest.raises(BrokerError, match="somebody listens there"):
        await second.start()
    await first.stop()


async def test_what_a_killed_run_left_behind_is_ended_by_the_next(tmp_path):
    dead = listener(tmp_path)
    await dead.start()
    dead._lock.close()  # as the kernel does for a run that was killed
    new = BrokerProcess(dead.command, tmp_path, "127.0.0.1", dead.port)
    waiting = dead._child
    await _reaped(waiting, new)
    assert waiting.poll() is not None
    assert new.alive
    await new.stop()


async def test_a_folder_in_use_by_a_run_that_lives_is_refused(tmp_path):
    first = listener(tmp_path)
    await first.start()
    second = BrokerProcess(first.command, tmp_path, "127.0.0.1", free_port())
    with pytest.raises(BrokerError, match="another running process keeps one there"):
        await second.start()
    assert first.alive
    await first.stop()
    await second.stop()


async def _reaped(child, new):
    """Start `new` while somebody reaps `child`, as init does for orphans."""
    import asyncio

    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.to_thread(child.wait, 20))
        group.create_task(new.start())


def test_a_stranger_with_the_number_of_a_leftover_is_left_alone(tmp_path):
    command = (sys.executable, "-c", "print(flush=True); input()")
    stranger = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        stranger.stdout.readline()  # a process that is just being started has no command line yet
        file = tmp_path / "broker.pid"
        file.write_text(str(stranger.pid))
        assert leftover(file, ("mosquitto", "-c", "x")) is None
        assert leftover(file, command) == stranger.pid
        file.write_text("not a number")
        assert leftover(file, ("mosquitto",)) is None
        assert leftover(tmp_path / "absent", ("mosquitto",)) is None
    finally:
        stranger.communicate(b"\n")


def test_the_limit_of_open_files_is_raised_towards_what_is_wanted():
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        hard = resource.prlimit(child.pid, resource.RLIMIT_NOFILE)[1]
        resource.prlimit(child.pid, resource.RLIMIT_NOFILE, (256, hard))
        assert raise_file_limit(child.pid, 512) == 512
        assert raise_file_limit(child.pid, 400) == 512, "a limit is never lowered"
        assert raise_file_limit(child.pid, hard + 1) == hard
    finally:
        child.communicate(b"\n")


async def test_a_log_that_grew_too_large_is_put_aside(tmp_path, monkeypatch):
    monkeypatch.setattr(process, "LOG_BYTES_MAX", 10)
    child = listener(tmp_path)
    (tmp_path / "broker.log").write_text("a long story")
    await child.start()
    await child.stop()
    assert (tmp_path / "broker.log.1").read_text() == "a long story"
    assert "long story" not in child.tail()
