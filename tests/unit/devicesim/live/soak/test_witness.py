"""What the witness tells the books of a broker that is killed: which messages it may not have saved."""

from __future__ import annotations

import pytest

from devicesdk.wire.timebase import SECOND
from devicesim.live.soak.books import SENDER_PATIENCE_NS, Books, Ends
from devicesim.live.soak.witness import SAVE_NS_MAX, UNSAVED_NS_MAX, Said, Witness
from devicesim.scenario.faults import BrokerRestart


class Stage:
    """A witness of two devices, and its clock."""

    def __init__(self) -> None:
        self.now = 0
        self.witness = Witness(lambda: self.now, lambda metric, took: None, 1.0)
        action = BrokerRestart.model_validate({"id": "kill", "do": "broker.restart", "at": "1m"})
        self.witness._restarts = {"kill": action}
        self.witness.books = Books(["d0", "d1"])
        self.witness.ends = Ends(0, [0, 0], [1, 1])

    def flagged(self, count: int) -> None:
        for _ in range(count):
            self.now += 1
            for index in (0, 1):
                self.witness.books.said(index, "flags", (self.now,), self.now, qos=1)
            self.witness.gateway_answered(Said("flags", (self.now,), (0, 1)), 0)

    def causes(self) -> tuple[int, int]:
        """Messages that were not saved, and those that nothing explains."""
        self.witness.books.settle(100 * SECOND, self.witness.ends)
        tally = self.witness.books.tallies["flags"]
        return tally.causes.get("unsaved", 0), tally.unexplained


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_a_kill_makes_doubtful_what_was_acknowledged_since_the_last_save(stage: Stage) -> None:
    stage.witness.saves_every(None, lambda: 2 + SAVE_NS_MAX)
    stage.flagged(2)
    stage.now += SECOND
    stage.flagged(3)
    stage.witness.faulted("kill", "begin", 0, 0)
    assert stage.witness.ends.forgot_at < 0, "it has its memory"
    stage.witness.faulted("kill", "end", 0, 0)
    assert stage.causes() == (2 * 4, 2 * 1), (
        "the second of the first two may have come while it saved"
    )


def test_of_a_broker_that_never_saved_everything_is_doubtful(stage: Stage) -> None:
    stage.flagged(5)
    stage.witness.faulted("kill", "begin", 0, 0)
    assert stage.causes() == (2 * 5, 0)


def test_a_broker_that_stays_away_for_long_explains_what_it_took_while_it_was_being_killed(
    stage: Stage,
) -> None:
    stage.witness.faulted("kill", "begin", 0, 0)
    stage.flagged(1)
    stage.now += UNSAVED_NS_MAX + SECOND
    stage.witness.ends.gateway_since = stage.now
    stage.witness.ends.device_since = [stage.now, stage.now]
    stage.witness.faulted("kill", "end", 0, 0)
    assert stage.causes() == (2, 0)


def test_what_must_have_been_saved_is_not_kept(stage: Stage) -> None:
    stage.flagged(3)
    stage.now += UNSAVED_NS_MAX - 2
    stage.flagged(1)
    assert [at for at, _ in stage.witness._acks] == [2, 3, stage.now], (
        "the first is too old by 1 ns"
    )


def test_of_a_broker_that_counts_changes_the_last_hundred_are_doubtful_and_no_others(
    stage: Stage,
) -> None:
    stage.witness.saves_every(100, lambda: stage.now)
    stage.flagged(100 + 50)
    stage.witness.faulted("kill", "begin", 0, 0)
    assert stage.witness.ends.forgot_at < 0, "it has its memory"
    stage.witness.faulted("kill", "end", 0, 0)
    assert stage.causes() == (2 * 100, 2 * 50), "each is meant for two devices"


def test_what_is_acknowledged_while_the_broker_is_being_killed_counts_too(stage: Stage) -> None:
    stage.witness.faulted("kill", "begin", 0, 0)
    stage.flagged(1)
    stage.witness.faulted("kill", "end", 0, 0)
    stage.flagged(1)
    assert stage.causes() == (2, 2), "what came after it is not explained by it"


def test_other_faults_explain_nothing(stage: Stage) -> None:
    stage.flagged(1)
    stage.witness.faulted("heat", "begin", 0, 0)
    stage.witness.faulted("heat", "end", 0, 0)
    assert stage.causes() == (0, 2)


def test_a_refused_publish_is_told_as_that_and_an_acknowledged_one_is_not(stage: Stage) -> None:
    witness = stage.witness
    witness._tokens = [{5: ("ev", (1, 1)), 6: ("ev", (1, 2))}, {}]
    witness._numbers = {"d0": 0}
    for seq in (1, 2):
        witness.books.said(0, "ev", (1, seq), 0, qos=1)
    witness.device_answered("d0", 5, 0x97)
    witness.device_answered("d0", 6, 0)
    witness.books.settle(SENDER_PATIENCE_NS + SECOND, witness.ends)
    assert witness.books.unexplained == 1 + 1, "the acknowledged one never came"
    refused, taken = witness.books.stories
    assert "ev (1, 1) of d0" in refused
    assert "refused by the broker (0x97)" in refused
    assert "acknowledged by the broker" in taken


def test_a_publish_of_the_gateways_that_is_refused_was_refused_for_all_who_are_meant(
    stage: Stage,
) -> None:
    witness = stage.witness
    for index in (0, 1):
        witness.books.said(index, "flags", (1,), 0, qos=1)
    witness.gateway_answered(Said("flags", (1,), (0, 1)), 0x97)
    witness.books.settle(SENDER_PATIENCE_NS + SECOND, witness.ends)
    assert witness.books.unexplained == 2
    for story, device in zip(witness.books.stories, ("d0", "d1"), strict=True):
        assert f"flags (1) of {device}" in story
        assert "refused by the broker (0x97)" in story
    assert not witness._acks, "a kill explains no refusal"
