"""Plays one table of scripts on three stages: in memory, and on mosquitto through two libraries.

A script is a function of a stage; one that must let time pass yields seconds, and on mosquitto all
such scripts wait together.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterator

import pytest

from tests.contract.codec_client import CodecClient
from tests.contract.memory_stage import Logs, MemoryStage
from tests.contract.mosquitto_stage import Mosquitto, MosquittoStage
from tests.contract.paho_client import PahoClient
from tests.contract.socket_client import SocketClient

LIBRARIES: dict[str, type[SocketClient]] = {"paho": PahoClient, "codec": CodecClient}
Outcome = Logs | Exception


def play_in_memory(script: Callable) -> Logs:
    """Run a script on the in-memory broker; seconds it yields pass in no time."""
    stage = MemoryStage()
    for seconds in as_steps(script, stage):
        stage.elapse(seconds)
    stage.close()
    return stage.logs


def play_on_mosquitto(
    server: Mosquitto, scripts: list[Callable], libraries: list[str]
) -> dict[tuple[str, str], Outcome]:
    """Run scripts on one mosquitto, by each library; those that yield seconds wait together."""
    results: dict[tuple[str, str], Outcome] = {}
    waiting = []
    for library in libraries:
        for script in scripts:
            name = script.__name__
            stage = MosquittoStage(server, f"{name}-{library}", LIBRARIES[library])
            waiting.append(((library, name), stage, as_steps(script, stage)))
    while waiting:
        pauses, still = [0.0], []
        for key, stage, steps in waiting:
            try:
                pauses.append(next(steps))
                still.append((key, stage, steps))
            except StopIteration:
                stage.close()
                results[key] = stage.logs
            except Exception as error:  # noqa: BLE001 - told by the test that the script belongs to
                results[key] = error
        time.sleep(max(pauses))  # noqa: TID251 - mosquitto's clock is the real one
        waiting = still
    return results


def as_steps(script: Callable, stage) -> Iterator[float]:
    steps = script(stage)
    if inspect.isgenerator(steps):
        yield from steps


@pytest.fixture(scope="session")
def in_memory() -> Callable[[Callable], Logs]:
    return play_in_memory


@pytest.fixture(scope="session")
def on_mosquitto(tmp_path_factory) -> Iterator[Callable[[list[Callable]], dict]]:
    """Play a whole table once, by every library; a script's test then reads its own result."""
    server = Mosquitto(tmp_path_factory.mktemp("mosquitto"), persistence=False)
    played: dict[tuple[str, str], Outcome] = {}

    def play(scripts: list[Callable]) -> dict[tuple[str, str], Outcome]:
        if not played:
            played.update(play_on_mosquitto(server, scripts, list(LIBRARIES)))
        return played

    yield play
    server.stop()


@pytest.fixture
def on_own_mosquitto(tmp_path) -> Iterator[Callable[[Callable, str], Outcome]]:
    """Play one script on a mosquitto that persists and may be restarted."""
    server = Mosquitto(tmp_path, persistence=True)

    def play(script: Callable, library: str) -> Outcome:
        return play_on_mosquitto(server, [script], [library])[library, script.__name__]

    yield play
    server.stop()
