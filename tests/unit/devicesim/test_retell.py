"""A trace's rows in words: nobody has to know what a and b were."""

from __future__ import annotations

import pytest

from devicesdk.agent.notes import NoteKind
from devicesim.retell import words_of
from devicesim.world.device_parts import _DETAILS
from gateway.core import notes
from gateway.core.collect import notes as collected
from gateway.core.experiments import notes as trials
from gateway.core.offload import notes as offloads
from gateway.core.transfers import notes as transfers


@pytest.mark.parametrize(
    ("kind", "a", "b", "words"),
    [
        (
            "back_off",
            4860,
            106,
            "waits 4.86 s before it tries to connect, after 106 losses in a row",
        ),
        ("connect_timeout", 0, 0, "got no answer to its connect"),
        ("update_state", 3, 1, "update is being fetched (generation 1)"),
        ("role_refused", 1, 4, "refused a timestamp (its root is 4)"),
        ("slot_invalid", 1, 0, "gives up slot b"),
        ("fetch_begun", 7, 2, "fetches 7 chunks, 2 of which it has"),
        (
            "want_accepted",
            2,
            1,
            "heard what is wanted of it (generation 2), and it is to stay where it is",
        ),
        ("collect.judged", 9, 8, "Telemetry: p95 latency 9 us, before 8 us."),
        ("drift.raised.sensor", 3, 40, "Single devices see something else (3 of them, 40 frames)."),
        ("want_old", 1, 2, "a want that is older was ignored (its generation: 1, ours: 2)"),
        ("alarm_on", 812, 0, "the reading crossed the alarm threshold (reading in permille: 812)"),
        ("boot", 3, 9, "boot 3 of its life"),
        ("connected", 1, 4, "its session was kept"),
        ("connected", 0, 4, "in a new session"),
        ("frames ran", 4, 1, "4 frames"),
        ("frames ran", 1, 1, "1 frame"),
        ("deadline", 0, 3, ""),
        ("file read", -1, 1, "there is none"),
        ("kit ran", 0, 1, "did not pass"),
        ("power off", 1, 0, "at once"),
        ("body throttle_down", 78, 0, "at 78 \N{DEGREE SIGN}C"),
        ("gateway crash", 3, 0, "3 rows not durable yet"),
        ("fault begin heat.wave", 24, 0, "on 24 devices"),
        ("fault end heat.wave", 24, 0, ""),
        ("transfers.lapsed", 1, 27, "1 devices stopped asking; 27 are still being served."),
        ("nobody knows it", 1, 2, "a=1 b=2"),
    ],
)
def test_a_row_reads_without_a_key(kind, a, b, words):
    assert words_of(kind, a, b) == words


def test_no_kind_that_has_a_sentence_is_told_as_raw_numbers():
    kinds = [*(note.value for note in NoteKind), *(row[0] for row in _DETAILS.values())]
    for module in (notes, collected, trials, offloads, transfers):
        kinds += module.SENTENCES
    for kind in kinds:
        told = words_of(str(kind), 1, 2)
        assert "a=" not in told, (kind, told)
        assert "a = " not in told, (kind, told)
        assert "b = " not in told, (kind, told)
        assert "{" not in told, (kind, told)
        assert "subject" not in told, (kind, told)
