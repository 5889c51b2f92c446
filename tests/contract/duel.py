"""Plays random scripts on both brokers and fails with a story where they part.

Scripts of one batch share a mosquitto and wait together; nothing of a script stays behind.
"""

from __future__ import annotations

import time
from itertools import count

from tests.contract.codec_client import CodecClient
from tests.contract.memory_stage import MemoryStage
from tests.contract.mosquitto_stage import Mosquitto, MosquittoStage
from tests.contract.random_scripts import Script
from tests.contract.story import Told, first_difference, play, play_in_no_time, tell


class Duel:
    """One mosquitto, and an in-memory broker for each script.

    Args:
        server: the mosquitto.
        at_root: scripts use the root of its topics, which they then must have for themselves.
    """

    def __init__(self, server: Mosquitto, at_root: bool = False) -> None:
        self.server, self.at_root = server, at_root
        self.titles = (f"script-{number}" for number in count(1))
        self.scripts = self.steps = 0

    def fight(self, *scripts: Script) -> None:
        """Play scripts, several only if they do not share the root; fail on a difference."""
        memory = [play_in_no_time(MemoryStage(), script) for script in scripts]
        mosquitto = self.on_mosquitto(scripts)
        for script, one, other in zip(scripts, memory, mosquitto, strict=True):
            self.scripts, self.steps = self.scripts + 1, self.steps + len(script)
            where = first_difference(one, other)
            assert where is None, tell(script, one, other, where)

    def on_mosquitto(self, scripts: tuple[Script, ...]) -> list[Told]:
        stages = [self.stage() for _ in scripts]
        told: list[Told] = [[] for _ in scripts]
        plays = [play(*each) for each in zip(stages, scripts, told, strict=True)]
        try:
            while pauses := [pause for each in plays if (pause := next(each, None)) is not None]:
                time.sleep(max(pauses))  # noqa: TID251 - mosquitto's clock is the real one
        finally:
            for stage, script in zip(stages, scripts, strict=True):
                stage.abandon()
                self.sweep(stage.title, script)
        return told

    def stage(self, title: str | None = None) -> MosquittoStage:
        return MosquittoStage(self.server, title or next(self.titles), CodecClient, self.at_root)

    def sweep(self, title: str, script: Script) -> None:
        """End the sessions of a script, with their wills, and clear what it retained."""
        topics, names = [], []
        for step in script:
            if step.verb == "connect":
                names.append(step.args[0])
                topics += [step.options["will"][0]] if "will" in step.options else []
            elif step.verb == "publish" and "retain" in step.options:
                topics.append(step.args[1])
        broom = self.stage(title)
        for name in dict.fromkeys(names):
            broom.connect(name)
        for topic in dict.fromkeys(topics):
            broom.publish(names[0], topic, "", qos=0, retain=True)
        broom.close()
