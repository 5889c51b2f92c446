"""What the witness notices of a broker that is killed: how far back its last save may lie."""

from __future__ import annotations

from devicesim.live.soak.witness import KILLS_KEPT, Said, Witness
from devicesim.scenario.faults import BrokerRestart
from gateway.adapters.brokers.settings import AUTOSAVE_CHANGES


def witness(now: list[int]) -> Witness:
    made = Witness(lambda: now[0], lambda metric, took: None, 1.0)
    action = BrokerRestart.model_validate({"id": "kill", "do": "broker.restart", "at": "1m"})
    made._restarts = {"kill": action}
    return made


def acknowledged(made: Witness, now: list[int], count: int) -> None:
    for _ in range(count):
        now[0] += 1
        made.gateway_acked(Said("kill", (1,), []))


def test_a_kill_makes_the_last_hundred_acknowledgements_doubtful_and_no_others() -> None:
    now = [0]
    made = witness(now)
    acknowledged(made, now, AUTOSAVE_CHANGES + 50)
    made.faulted("kill", "begin", 0, 0)
    assert made.ends.unsaved == (), "what is acknowledged before the process is dead counts, too"
    acknowledged(made, now, 1)
    now[0] += 7
    made.faulted("kill", "end", 0, 0)
    assert made.ends.unsaved == ((52, now[0]),)
    assert not made.ends.may_be_unsaved(51)
    assert made.ends.may_be_unsaved(52)
    assert not made.ends.may_be_unsaved(now[0] + 1)
    assert made.ends.forgot_at < 0, "it has its memory"


def test_only_so_many_kills_are_remembered_and_other_faults_are_none() -> None:
    now = [0]
    made = witness(now)
    made.faulted("kill", "end", 0, 0)
    assert made.ends.unsaved == (), "nothing was acknowledged, so nothing can be missing"
    acknowledged(made, now, 1)
    made.faulted("heat", "end", 0, 0)
    assert made.ends.unsaved == ()
    for _ in range(KILLS_KEPT + 3):
        now[0] += 1
        made.faulted("kill", "end", 0, 0)
    assert [end for _, end in made.ends.unsaved] == [5 + i for i in range(KILLS_KEPT)]
