import pytest

from devicesdk.agent.notes import NoteKind
from devicesdk.wire.messages import UpdateState
from devicesdk.wire.timebase import SECOND
from devicesim.report.causes import Names, actor_names, lines, sentence, told
from devicesim.world.causes.book import Moment
from devicesim.world.trace import GATEWAY, WORLD
from gateway.core import notes

NAMES = Names(
    actor_names(["kiosk-0000", "kiosk-0001"]),
    lambda key, at: f"{key} (lab.yaml:7)",
    lambda name: " (lab.yaml:3)",
)


def chain(*moments):
    return [
        Moment(n, at * SECOND, actor, kind, *(list(more) + [0, 0, ""][len(more) :]))
        for n, (at, actor, kind, *more) in enumerate(moments)
    ]


def vain(at, reason="refused", wait_ms=1000):
    return [
        (at, 0, "attempt"),
        (at, 0, "connect failed", 0, 0, reason),
        (at, 0, "back_off", wait_ms, 3),
    ]


def test_an_attempt_its_failure_and_the_wait_after_it_are_one_line():
    story = told(chain(*vain(5, "server busy", 4100)), NAMES)
    assert [one.text for one in story] == ["tried to connect in vain: server busy; waits 4.10 s"]


AGAIN = (
    "                      \N{HORIZONTAL ELLIPSIS} 15 more attempts, each in vain: server busy, "
    "the last at +0:00:25, waits 2 s"
)


def test_what_repeats_is_told_once_with_a_count_and_the_last():
    moments = [(0, WORLD, "fault begin broker.restart")]
    for turn in range(16):
        moments += vain(10 + turn, "server busy", 2000)
    made = lines(told(chain(*moments), NAMES), 10)
    assert made == [
        "+0:00:00  timeline    broker.restart (lab.yaml:7) begins",
        "+0:00:10  kiosk-0000  tried to connect in vain: server busy; waits 2 s",
        AGAIN,
    ], "\n".join(made)


def test_a_few_lines_that_repeat_together_are_folded_too():
    turn = [(5, 0, "connected", 1), (6, 0, "disconnected", 0, 0, "reset")]
    made = lines(told(chain(*turn * 5), NAMES), 10)
    assert len(made) == 3
    assert "4 more times these 2 steps" in made[2]


def test_the_first_and_the_last_stay_and_what_goes_is_counted():
    moments = [(n, n % 2, f"moment {n}") for n in range(40)]
    made = lines(told(chain(*moments), NAMES), 7)
    assert len(made) == 7
    assert "moment 0" in made[0]
    assert "moment 39" in made[-1]
    assert any("34 steps between" in line for line in made), made


def test_everyday_steps_go_before_anything_is_counted():
    moments = [(0, GATEWAY, notes.OFFER, 1, 0, "kiosk-0000")]
    moments += [(n, 0, NoteKind.FETCH_BEGUN, 10 + n, 0) for n in (1, 3)]
    moments += [(5, 0, NoteKind.UPDATE_STATE, UpdateState.FAILED, 1)]
    made = lines(told(chain(*moments), NAMES), 3)
    assert len(made) == 3
    assert "steps between" not in "".join(made)


def test_offers_to_others_are_of_no_interest_in_a_devices_story():
    moments = [
        (0, GATEWAY, notes.ROLLOUT_CREATED, 1, 2, "r1"),
        (0, GATEWAY, notes.OFFER, 1, 0, "kiosk-0001"),
        (0, GATEWAY, notes.OFFER, 1, 0, "kiosk-0000"),
        (1, 0, "heard", 0, 0, "want"),
    ]
    texts = [one.text for one in told(chain(*moments), NAMES)]
    assert texts[0] == "Rollout r1 was created with 1 waves for 2 devices (lab.yaml:3)"
    assert not any("kiosk-0001" in text for text in texts)
    assert texts[-1] == "heard what is wanted of it"


@pytest.mark.parametrize("kind", list(NoteKind))
def test_every_note_has_words_without_letters_for_numbers(kind):
    text = sentence(Moment(0, 0, 0, kind.value, 2, 3, ""), NAMES)
    assert " a = " not in text
    assert " b = " not in text
    assert text


def test_instants_of_one_second_are_told_apart():
    moments = [Moment(n, 10**6 * n, 0, f"k{n}", 0, 0, "") for n in range(3)]
    made = lines(told(moments, NAMES), 5)
    assert [line.split()[0] for line in made] == ["+0:00:00.000", "+0:00:00.001", "+0:00:00.002"]
