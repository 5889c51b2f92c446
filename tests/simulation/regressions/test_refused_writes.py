"""Worn flash refused a save in the batch that went back to the old slot: the host went on with the new one."""

from devicesdk.agent.install import Install
from devicesdk.agent.work import Work
from tests_kit import worlds

WORN = (
    worlds.ROLLOUT + "timeline:\n"
    "  - {at: 29m, do: flash.worn, share: 10%, bad: 5%, for: 2h, target: all}\n"
    "  - {at: 29m, do: brown_out, every: 30s, for: 2h, target: all}\n"
    "  - {at: 3h, do: power.cut, for: 1m, target: all}\n"
)
SEEDS = (22, 3, 5)


def lives(seed):
    drill = worlds.make_drill(worlds.scenario_text(WORN, count=4, duration="5h"), seed=seed)
    drill.world.run()
    assert worlds.broken(drill) == []
    assert all(host.frames_under_way(drill.world.now) for host in drill.world.hosts), "idle"


def test_the_host_runs_what_the_agent_thinks_it_runs():
    for seed in SEEDS:
        lives(seed)


def test_it_did_not_while_effects_that_were_lost_were_not_told(monkeypatch):
    monkeypatch.setattr(Work, "never_done", lambda self, lost: False)
    monkeypatch.setattr(Install, "never_asked", lambda self, effect: None)
    try:
        lives(SEEDS[0])
    except AssertionError:
        return
    raise AssertionError("this world does not show the fault any more")
