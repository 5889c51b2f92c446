"""Plays a script step by step on a stage, compares two plays, and tells where they part.

The comparison is by step and client: each stage reads all that its broker has to say before the
next step, so a message that comes a step late is a difference, too.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.contract.differences import comparable
from tests.contract.random_scripts import Script

Told = list[dict[str, list[str]]]
"""For each step that was played: what each client was told."""


def play(stage, script: Script, told: Told) -> Iterator[float]:
    """Play step by step, yielding the seconds that are to pass; `told` grows as it goes."""
    for step in script:
        marks = {name: len(log) for name, log in stage.logs.items()}
        if step.verb == "wait":
            yield step.args[0]
            stage.settle()
        else:
            getattr(stage, step.verb)(*step.args, **step.options)
        news = {name: log[marks.get(name, 0) :] for name, log in stage.logs.items()}
        told.append({name: lines for name, lines in news.items() if lines})


def play_in_no_time(stage, script: Script) -> Told:
    """Play on a stage whose time is a number."""
    told: Told = []
    for seconds in play(stage, script, told):
        stage.elapse(seconds)
    stage.close()
    return told


def first_difference(memory: Told, mosquitto: Told) -> tuple[int, str] | None:
    """Find the first step, and in it the client, that the brokers told different things."""
    for number, (one, other) in enumerate(zip(memory, mosquitto, strict=False)):
        for name in sorted(one.keys() | other.keys()):
            if comparable(one.get(name, [])) != comparable(other.get(name, [])):
                return number, name
    return None


def tell(script: Script, memory: Told, mosquitto: Told, where: tuple[int, str]) -> str:
    """Tell the script up to the first difference, and how to keep it as a regression test."""
    last, name = where
    lines = ["the in-memory broker and mosquitto tell different things:", ""]
    for number in range(last + 1):
        lines.append(f"{number + 1:3}. {script[number]}")
        lines += _heard(memory[number], mosquitto[number])
    lines += [
        "",
        f"first difference: step {last + 1}, client {name!r}",
        f"    in memory: {memory[last].get(name, [])}",
        f"    mosquitto: {mosquitto[last].get(name, [])}",
        "",
        "to keep it, put this into tests/contract/scripts_of_messages.py or scripts_of_sessions.py, as",
        "expectation what MQTT 5 says (below: what was told in memory), and repair the broker:",
        "",
        *regression(script[: last + 1], memory),
    ]
    return "\n".join(lines)


def _heard(memory: dict[str, list[str]], mosquitto: dict[str, list[str]]) -> Iterator[str]:
    for name in sorted(memory.keys() | mosquitto.keys()):
        one, other = memory.get(name, []), mosquitto.get(name, [])
        if one == other:
            yield f"       {name} <- {'; '.join(one)}"
        else:
            yield f"       {name} <- in memory: {'; '.join(one) or 'nothing'}"
            yield f"       {name} <- mosquitto: {'; '.join(other) or 'nothing'}"


def regression(script: Script, told: Told) -> Iterator[str]:
    """Write the script as a hand-written one, with what one broker told as its expectation."""
    logs: dict[str, list[str]] = {}
    for news in told[: len(script)]:
        for name, lines in news.items():
            logs.setdefault(name, []).extend(lines)
    yield "@script("
    if any(step.verb == "restart" for step in script):
        yield "    RESTARTS,"
    for name, lines in logs.items():
        yield f"    {name}={lines!r},".replace("'", '"')
    yield ")"
    yield "def found_by_a_random_script(s):"
    yield from (f"    {step}" for step in script)
