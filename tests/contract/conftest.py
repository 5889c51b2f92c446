"""Plays one table of scripts on two stages: the in-memory broker and a real mosquitto.

A script is a function of a stage; one that must let time pass yields seconds, and on mosquitto all
such scripts wait together.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterator

import pytest

from tests.contract.memory_stage import Logs, MemoryStage
from tests.contract.mosquitto_stage import Mosquitto, MosquittoStage


def play_in_memory(script: Callable) -> Logs:
    """Run a script on the in-memory broker; seconds it yields pass in no time."""
    stage = MemoryStage()
    steps = script(stage)
    if inspect.isgenerator(steps):
        for seconds in steps:
            stage.elapse(seconds)
    stage.close()
    return stage.logs


def play_on_mosquitto(server: Mosquitto, scripts: list[Callable]) -> dict[str, Logs | Exception]:
    """Run scripts on one mosquitto; those that yield seconds wait for them together."""
    results: dict[str, Logs | Exception] = {}
    waiting = []
    stages = {script.__name__: MosquittoStage(server, script.__name__) for script in scripts}
    for script in scripts:
        stage = stages[script.__name__]
        waiting.append((script.__name__, stage, _as_steps(script, stage)))
    while waiting:
        pauses, still = [0.0], []
        for name, stage, steps in waiting:
            try:
                pauses.append(next(steps))
                still.append((name, stage, steps))
            except StopIteration:
                stage.close()
                results[name] = stage.logs
            except Exception as error:  # noqa: BLE001 - told by the test that the script belongs to
                results[name] = error
        time.sleep(max(pauses))  # noqa: TID251 - mosquitto's clock is the real one
        waiting = still
    return results


def _as_steps(script: Callable, stage: MosquittoStage) -> Iterator[float]:
    steps = script(stage)
    if inspect.isgenerator(steps):
        yield from steps


@pytest.fixture(scope="session")
def in_memory() -> Callable[[Callable], Logs]:
    return play_in_memory


@pytest.fixture(scope="session")
def on_mosquitto(tmp_path_factory) -> Iterator[Callable[[list[Callable]], dict]]:
    """Play a whole table once; a script's test then reads its own result."""
    server = Mosquitto(tmp_path_factory.mktemp("mosquitto"), persistence=False)
    played: dict[str, Logs | Exception] = {}

    def play(scripts: list[Callable]) -> dict[str, Logs | Exception]:
        if not played:
            played.update(play_on_mosquitto(server, scripts))
        return played

    yield play
    server.stop()


@pytest.fixture
def on_own_mosquitto(tmp_path) -> Iterator[Callable[[Callable], Logs]]:
    """Play one script on a mosquitto that persists and may be restarted."""
    server = Mosquitto(tmp_path, persistence=True)

    def play(script: Callable) -> Logs:
        result = play_on_mosquitto(server, [script])[script.__name__]
        if isinstance(result, Exception):
            raise result
        return result

    yield play
    server.stop()
