"""Whatever clients do, the in-memory broker and mosquitto 2.0.11 tell them the same.

Hypothesis draws the scripts (`random_scripts`), `duel` plays them, `differences` lists what may
differ and what is steered around. In CI a fixed and modest sample; the campaigns draw anew each time
(``make campaign``).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st

from tests.contract import (
    differences,
    hand_script,
    scripts_of_messages,  # noqa: F401 - fills the table
    scripts_of_sessions,  # noqa: F401 - fills the tables
)
from tests.contract.conftest import play_in_memory
from tests.contract.differences import ALLOWED, AVOIDED, comparable
from tests.contract.duel import Duel
from tests.contract.memory_stage import MemoryStage
from tests.contract.mosquitto_stage import Mosquitto
from tests.contract.random_scripts import (
    RESTARTS,
    SESSION_WAITS,
    TIMELESS,
    WAITS,
    Alphabet,
    Script,
    scripts,
    shortened,
)
from tests.contract.story import Told, first_difference, play_in_no_time, regression, tell

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "broker.md"
BATCH = 12
"""Scripts that wait together."""
QUIET = {
    "deadline": None,
    "database": None,
    # Without the explanation: it traces every line, and the story explains better.
    "phases": (Phase.generate, Phase.shrink),
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large],
}


@pytest.fixture(scope="module")
def at_root(tmp_path_factory) -> Iterator[Duel]:
    """A mosquitto that one script after the other has for itself."""
    server = Mosquitto(tmp_path_factory.mktemp("root"), persistence=False)
    yield Duel(server, at_root=True)
    server.stop()


@pytest.fixture(scope="module")
def together(tmp_path_factory) -> Iterator[Duel]:
    """A mosquitto that the scripts of a batch share."""
    server = Mosquitto(tmp_path_factory.mktemp("shared"), persistence=False)
    yield Duel(server)
    server.stop()


@pytest.fixture(scope="module")
def persistent(tmp_path_factory) -> Iterator[Duel]:
    """A mosquitto that scripts may restart."""
    server = Mosquitto(tmp_path_factory.mktemp("restarted"), persistence=True)
    yield Duel(server, at_root=True)
    server.stop()


def campaign(duel: Duel, alphabet: Alphabet, batch: int, examples: int, derandomize: bool) -> None:
    drawn = st.tuples(*[scripts(alphabet)] * batch)

    @settings(derandomize=derandomize, max_examples=examples, **QUIET)
    @given(drawn)
    def fight(batch) -> None:
        duel.fight(*batch)

    fight()
    print(f"{duel.scripts} scripts of {duel.steps} steps")


@pytest.mark.mosquitto
def test_timeless(at_root: Duel) -> None:
    campaign(at_root, TIMELESS, 1, examples=300, derandomize=True)


@pytest.mark.mosquitto
@pytest.mark.parametrize("alphabet", [WAITS, SESSION_WAITS], ids=["messages", "sessions"])
def test_expiries(alphabet: Alphabet, together: Duel) -> None:
    # Hypothesis begins with the smallest example, which does not wait.
    campaign(together, alphabet, BATCH, examples=2, derandomize=True)


@pytest.mark.mosquitto
def test_restarts(persistent: Duel) -> None:
    campaign(persistent, RESTARTS, 1, examples=40, derandomize=True)


@pytest.mark.slow
@pytest.mark.mosquitto
def test_campaign_timeless(at_root: Duel) -> None:
    campaign(at_root, TIMELESS, 1, examples=6_000, derandomize=False)


@pytest.mark.slow
@pytest.mark.mosquitto
@pytest.mark.parametrize("alphabet", [WAITS, SESSION_WAITS], ids=["messages", "sessions"])
def test_campaign_expiries(alphabet: Alphabet, together: Duel) -> None:
    campaign(together, alphabet, BATCH, examples=25, derandomize=False)


@pytest.mark.slow
@pytest.mark.mosquitto
def test_campaign_restarts(persistent: Duel) -> None:
    campaign(persistent, RESTARTS, 1, examples=1_000, derandomize=False)


def test_scripts_say_everything() -> None:
    """A change of the strategy or of what is avoided must not make scripts silent."""
    seen: Counter[str] = Counter()

    @settings(derandomize=True, max_examples=300, **QUIET)
    @given(scripts(TIMELESS))
    def listen(script) -> None:
        for told in play_in_no_time(MemoryStage(), script):
            for line in (line for lines in told.values() for line in lines):
                seen[re.sub(r"^[^ ]*=[^ ]*", "message", line).removesuffix(" expires")] += 1
        seen.update(f"{step.verb} {name}" for step in script for name in step.options)

    listen()
    wanted = [
        *("message q0", "message q1", "message q1 dup", "message q1 retain", "closed 0x8e"),
        *("publish expiry_s", "connack 0 present", "suback 0x1,0x0", "unsuback 0x0"),
        *("puback 0x0", "puback 0x10", "connect will", "disconnect send_will", "ack count"),
    ]
    rare = {line: seen[line] for line in wanted if seen[line] < 5}
    assert not rare, f"expected each of these five times in 300 scripts, found {rare} of {seen}"


def told_by_one_that_errs(script: Script) -> tuple[Told, Told]:
    """Two in-memory brokers, one of which forgets all but the first message of a queue."""
    stages = MemoryStage(), MemoryStage(queue_max=1)
    return play_in_no_time(stages[0], script), play_in_no_time(stages[1], script)


def errs(script: Script) -> bool:
    return first_difference(*told_by_one_that_errs(script)) is not None


def test_a_broker_that_errs_is_found_and_told() -> None:
    quick = {**QUIET, "phases": (Phase.generate,)}
    script = find(
        scripts(TIMELESS), errs, settings=settings(derandomize=True, max_examples=400, **quick)
    )
    told = told_by_one_that_errs(script)
    step, client = first_difference(*told)
    story = tell(script, *told, (step, client))
    assert f"first difference: step {step + 1}, client {client!r}" in story
    assert all(str(each) in story for each in script[: step + 1]), story


def test_the_story_of_a_broker_that_errs_is_short() -> None:
    quick = {**QUIET, "phases": (Phase.generate,)}
    found = find(
        scripts(TIMELESS), errs, settings=settings(derandomize=True, max_examples=400, **quick)
    )
    script = shortened(found, errs)
    assert errs(script)
    assert len(script) <= 8, f"expected a script at its shortest, found {[*map(str, script)]}"


@settings(derandomize=True, max_examples=50, **QUIET)
@given(scripts(SESSION_WAITS))
def test_a_script_can_be_pasted_as_a_regression_test(script) -> None:
    told = play_in_no_time(MemoryStage(), script)
    table: list[hand_script.HandScript] = []

    def decorate(**expect):
        return hand_script.script(table, **expect)

    exec("\n".join([*regression(script, told), "    yield 0"]), {"script": decorate})
    logs = play_in_memory(table[0].play)
    assert logs == {name: table[0].expect.get(name, []) for name in logs}


@pytest.mark.parametrize(
    ("liberty", "one", "other"),
    [
        ("messages before their answer", ["suback 0x1", "t=1 q1"], ["t=1 q1", "suback 0x1"]),
        ("order of topics", ["t=1 q1", "u=2 q1"], ["u=2 q1", "t=1 q1"]),
        ("order of qualities", ["t=1 q1", "t=1 q0"], ["t=1 q0", "t=1 q1"]),
        ("last words", ["closed 0x8e"], ["closed eof"]),
    ],
)
def test_each_liberty_is_taken_by_its_name(liberty, one, other, monkeypatch) -> None:
    assert comparable(one) == comparable(other)
    others = {name: entry for name, entry in ALLOWED.items() if name != liberty}
    monkeypatch.setattr(differences, "ALLOWED", others)
    assert comparable(one) != comparable(other), f"nothing else looks past {liberty!r}"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (["t=1 q1", "t=2 q1"], ["t=2 q1", "t=1 q1"]),
        (["t=1 q1"], ["t=1 q0"]),
        (["t=1 q1"], ["t=1 q1", "t=1 q1"]),
        (["t=1 q1"], ["t=1 q1 dup"]),
        (["t=1 q1 retain"], ["t=1 q1"]),
        (["connack 0 new"], ["connack 0 present"]),
        (["puback 0x0"], ["puback 0x10"]),
        (["closed eof"], []),
    ],
)
def test_no_more_than_that_is_looked_past(one, other) -> None:
    assert comparable(one) != comparable(other)


@pytest.mark.parametrize("name", AVOIDED)
def test_what_is_avoided_is_shown_by_a_script(name: str) -> None:
    shown = {case.name: case for case in hand_script.TABLE + hand_script.RESTARTS}
    avoided = AVOIDED[name]
    if avoided.script is None:
        assert any(avoided.paragraph == liberty.paragraph for liberty in ALLOWED.values())
        return
    assert avoided.script in shown, f"expected a hand-written script {avoided.script}, found none"
    case = shown[avoided.script]
    assert case.mosquitto, f"{avoided.script} plays alike on both brokers: nothing to avoid"
    assert case.because.startswith(avoided.paragraph)


@pytest.mark.parametrize("name", [*ALLOWED, *AVOIDED])
def test_the_page_lists_every_difference(name: str) -> None:
    entry = (ALLOWED | AVOIDED)[name]
    row = next((line for line in PAGE.read_text().splitlines() if f"| {name} |" in line), None)
    assert row is not None, f"expected a row for {name!r} in {PAGE.name}, found none"
    assert f"| {entry.paragraph} |" in row, f"expected paragraph {entry.paragraph} in: {row}"
