from __future__ import annotations

import numpy as np
import pytest

from devicesdk.inference import words
from devicesdk.wire.timebase import HOUR, SECOND
from devicesim.entropy import Entropy
from devicesim.models import wordstream
from devicesim.models.datastream import Condition
from devicesim.models.wordstream import WordStream

LAST = len(words.LABELS) - 1


def labels(spec, count=None):
    heard = wordstream.expand([spec], [count or spec.frames])
    return np.rint(heard.values * LAST).astype(int)


def driver():
    return WordStream(Entropy(1), "v")


def test_commands_and_silence_come_in_their_shares():
    found = labels(driver().burst(0, 4000, SECOND))
    shares = np.bincount(found, minlength=LAST + 1) / 4000
    assert shares[0] == pytest.approx(0.4, abs=0.03)
    assert shares[1:] == pytest.approx(0.6 / LAST, abs=0.02)


def test_a_cut_burst_heard_the_head_of_the_whole_one():
    spec = driver().burst(HOUR, 9, SECOND)
    whole = words.record(wordstream.expand([spec], [9]).clips)
    assert whole[:4].tobytes() == words.record(wordstream.expand([spec], [4]).clips).tobytes()


def test_the_truth_is_what_is_said():
    spec = driver().burst(0, 50, SECOND)
    heard = wordstream.expand([spec], [50])
    assert (heard.clips.bank % (LAST + 1) == labels(spec)).all()


@pytest.mark.parametrize(
    ("condition", "field", "sign"),
    [
        (Condition.DIM, "gain", -1),
        (Condition.HAZE, "noise_gain", 1),
        (Condition.BLUR, "muffled", 1),
    ],
)
def test_what_is_heard_bends_and_recovers(condition, field, sign):
    stream = driver()
    before = stream.burst(0, 1, SECOND)
    token = stream.apply(condition, 0.7, 0)
    bent = stream.burst(0, 1, SECOND)
    assert sign * (getattr(bent, field) - getattr(before, field)) > 0
    stream.undo(token)
    assert stream.burst(0, 1, SECOND) == before


def test_a_talkative_radio_says_stop_into_the_silence():
    stream = driver()
    stream.apply(Condition.PRIOR_SHIFT, 0.5, 0)
    found = labels(stream.burst(0, 4000, SECOND))
    assert (found == 0).mean() == pytest.approx(0.2, abs=0.03)
    assert (found == words.LABELS.index("stop")).mean() > 0.25


def test_a_stuck_microphone_repeats_itself():
    stream = driver()
    token = stream.apply(Condition.STUCK, 0.0, HOUR)
    assert len(set(labels(stream.burst(2 * HOUR, 40, SECOND)).tolist())) == 1
    stream.undo(token)
    assert len(set(labels(stream.burst(2 * HOUR, 40, SECOND)).tolist())) > 1
