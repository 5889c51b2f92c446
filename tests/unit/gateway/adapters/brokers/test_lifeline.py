"""What ends when its starter does: real processes, and a real kill -9."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager

import psutil
import pytest

from gateway.adapters.brokers.process import (
    LIFELINE,
    BrokerError,
    BrokerProcess,
    free_port,
    listens,
)

ENDS_S_MAX = 60.0
LISTENER = """
import socket, sys
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    server.accept()[0].close()
"""
STARTER = """
import asyncio, sys, time
from pathlib import Path
from gateway.adapters.brokers.process import BrokerProcess
child = BrokerProcess((sys.executable, "-c", sys.argv[3], sys.argv[2]), Path(sys.argv[1]), "127.0.0.1", int(sys.argv[2]))
asyncio.run(child.start())
print(child.pid, flush=True)
time.sleep(600)
"""
HASTY = """
import sys
from gateway.adapters.brokers import lifeline
lifeline.STOP_S_MAX = 0.2
lifeline.main(sys.argv[1:])
"""
DEAF = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
time.sleep(600)
"""


def started(folder, port, body=LISTENER):
    """Somebody who started a broker, and the broker."""
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTER, str(folder), str(port), body], stdout=subprocess.PIPE
    )
    return starter, psutil.Process(int(starter.stdout.readline()))


@contextmanager
def stranger(port):
    """Somebody else who listens."""
    body = LISTENER.replace("while True", "print('listens', flush=True)\nwhile True")
    process = subprocess.Popen([sys.executable, "-c", body, str(port)], stdout=subprocess.PIPE)
    try:
        assert process.stdout.readline() == b"listens\n"
        yield process
    finally:
        killed(process)


def killed(process):
    process.kill()
    process.wait(ENDS_S_MAX)
    process.stdout.close()


def test_a_broker_ends_when_whoever_started_it_is_killed(tmp_path):
    port = free_port()
    starter, broker = started(tmp_path, port)
    (watcher,) = broker.children()
    assert listens("127.0.0.1", port)
    killed(starter)
    assert psutil.wait_procs([broker, watcher], ENDS_S_MAX)[1] == [], "somebody was left behind"
    assert not listens("127.0.0.1", port)


def test_a_frozen_one_does_too(tmp_path):
    starter, broker = started(tmp_path, free_port())
    broker.suspend()
    killed(starter)
    broker.wait(ENDS_S_MAX)


def test_one_that_will_not_end_is_killed():
    process = subprocess.Popen(
        [sys.executable, "-c", HASTY, sys.executable, "-c", DEAF],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout.readline() == b"deaf\n"
    process.stdin.close()
    assert process.wait(ENDS_S_MAX) == -signal.SIGKILL
    process.stdout.close()


async def test_it_is_the_process_and_not_the_thread_that_counts(tmp_path):
    port = free_port()
    child = BrokerProcess((sys.executable, "-c", LISTENER, str(port)), tmp_path, "127.0.0.1", port)
    thread = threading.Thread(target=lambda: asyncio.run(child.start()))
    thread.start()
    await asyncio.to_thread(thread.join)
    assert listens("127.0.0.1", port), "it ended with the thread that started it"
    (watcher,) = psutil.Process(child.pid).children()
    await child.stop()
    await asyncio.to_thread(watcher.wait, ENDS_S_MAX)


async def test_the_next_start_waits_for_one_that_is_ending(tmp_path):
    """It has no command line any more, and its port still: here a stranger with its number plays it."""
    port = free_port()
    command = (sys.executable, "-c", LISTENER, str(port))
    new = BrokerProcess(command, tmp_path, "127.0.0.1", port)
    with stranger(port) as last:
        (tmp_path / "broker.pid").write_text(str(last.pid))
        async with asyncio.TaskGroup() as group:
            starting = group.create_task(new.start())
            await asyncio.sleep(0)  # as far as it goes without waiting
            assert not starting.done(), "it did not wait"
            last.kill()
    assert new.pid != last.pid
    assert listens("127.0.0.1", port)
    await new.stop()


async def test_one_whose_program_is_not_there_says_so(tmp_path):
    child = BrokerProcess(("no-such-broker",), tmp_path, "127.0.0.1", free_port())
    with pytest.raises(BrokerError, match=r"(?s)ended with code 1.*FileNotFoundError"):
        await child.start()
    assert not child.alive


def test_what_is_watched_has_the_arguments_and_the_exit_code_of_the_program():
    says = "import sys; print(sys.stdin.read() == '', sys.argv[1]); sys.exit(7)"
    process = subprocess.Popen(
        [*LIFELINE, sys.executable, "-c", says, "x"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout.readline() == b"True x\n"
    assert process.wait(ENDS_S_MAX) == 7
    process.stdin.close()
    process.stdout.close()


def test_what_is_watched_hears_the_signals_that_python_ignores():
    process = subprocess.Popen(
        [*LIFELINE, "grep", "SigIgn", "/proc/self/status"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    ignored = int(process.stdout.readline().split()[1], 16)
    process.wait(ENDS_S_MAX)
    process.stdin.close()
    process.stdout.close()
    heard = [number for number in (signal.SIGPIPE, signal.SIGXFSZ) if not ignored >> number - 1 & 1]
    assert heard == [signal.SIGPIPE, signal.SIGXFSZ]
