"""Starts mosquitto and load processes, and speaks with them.

A load process, in C (`c/load.c`), lean (`lean_load.py`) or paho (`paho_load.py`), takes the same words
on its command line, says `ready SECONDS KB` when all its connections stand (and are subscribed), then
what its mode measures, and ends when it reads a line or the end of stdin. Times are CLOCK_MONOTONIC,
which all processes of a machine share.
"""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PATIENCE_S = 50.0
LEAVE_S = 10.0
DESCRIPTORS = 20_000
CONFIG = """\
listener {port} 127.0.0.1
allow_anonymous true
user root
persistence true
persistence_location {folder}/
autosave_on_changes false
autosave_interval 5
max_inflight_messages 100
max_queued_messages {queued}
max_packet_size 262144
persistent_client_expiration 14d
set_tcp_nodelay true
connection_messages false
log_dest stderr
log_type error
log_type warning
"""


def raise_descriptor_limit() -> int:
    """Take as many file descriptors as the system grants, at most `DESCRIPTORS`."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    want = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS)
    resource.setrlimit(resource.RLIMIT_NOFILE, (want, hard))
    return want


@contextlib.contextmanager
def mosquitto(queued: int = 10_000) -> Iterator[int]:
    """A broker of its own on a free port; the port."""
    binary = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    if binary is None:
        raise SystemExit("expected the broker mosquitto, found none: apt-get install mosquitto")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "mosquitto.conf"
        config.write_text(CONFIG.format(port=port, folder=folder, queued=queued))
        process = subprocess.Popen([binary, "-c", config], stderr=subprocess.DEVNULL)
        try:
            _wait_for_listener(port)
            yield port
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE_S)


def _wait_for_listener(port: int) -> None:
    for _ in range(100):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.1):
            return
        time.sleep(0.05)
    raise SystemExit(f"expected mosquitto on port {port} within 5 s, found nothing")


def build_c() -> list[str] | None:
    """The command of the C load, compiled now; None where compiler or library are missing."""
    target = Path(tempfile.gettempdir()) / "fleetdrill-bench-load"
    source = HERE / "c" / "load.c"
    try:
        subprocess.run(
            ["gcc", "-O2", "-o", target, source, "-lmosquitto"], check=True, capture_output=True
        )
    except (OSError, subprocess.CalledProcessError):
        print("  no C clients: they need gcc and libmosquitto-dev (apt-get install)")
        return None
    return [str(target)]


LEAN = [sys.executable, "-m", "bench.live.lean_load"]
PAHO = [sys.executable, "-m", "bench.live.paho_load"]


class Load:
    """One load process."""

    def __init__(self, command: list[str], mode: str, *words: object) -> None:
        self._process = subprocess.Popen(
            [*command, mode, *map(str, words)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        self.name = f"{Path(command[0]).name} {mode}"

    def hear(self, word: str) -> list[float]:
        """The numbers of its next line, which starts with this word and comes in `PATIENCE_S`."""
        assert self._process.stdout is not None
        watchdog = threading.Timer(PATIENCE_S, self._process.kill)
        watchdog.start()
        try:
            said = self._process.stdout.readline().split()
        finally:
            watchdog.cancel()
        if not said or said[0] != word:
            raise RuntimeError(f"expected {self.name} to say {word}, found {said or 'its end'}")
        return [float(each) for each in said[1:]]

    def go(self) -> None:
        """Let it go on, or end."""
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()

    def cpu_s(self) -> float:
        """CPU seconds it has spent so far."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / 100

    def close(self) -> None:
        """End it: by the end of its stdin, so that it tidies up, or after `LEAVE_S` the hard way."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(LEAVE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def transfer(port: int, command: list[str], devices: int, chunks: int, chunk_bytes: int) -> float:
    """Seconds until one publisher has given each device its chunks, QoS 0."""
    messages, topic = devices * chunks, "fd/bench/d/%d/dat"
    with (
        Load(command, "recv", port, devices, topic, 0, messages) as receivers,
        Load(command, "send", port, devices, topic, 0, chunk_bytes, messages) as sender,
    ):
        receivers.hear("ready")
        sender.hear("ready")
        sender.go()
        begun, _ = sender.hear("done")
        _, last_at, received = receivers.hear("done")
    assert received == messages, f"expected {messages} chunks, found {received}"
    return last_at - begun


def load_average() -> str:
    """How busy the machine is, for whoever reads the figures."""
    return f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
