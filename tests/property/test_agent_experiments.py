"""Power goes at every effect of an experiment: staged, taking turns, promoted or dropped.

Whatever the place: each burst runs what was announced and is whole on the disk (the rig checks), no frame
is lost or told twice, and the device ends where the flags want it.
"""

from __future__ import annotations

import pytest

from devicesdk.agent.config import AgentConfig
from devicesdk.wire.messages import UpdateState
from devicesdk.wire.timebase import MINUTE, SECOND
from tests_kit.agent_bundles import Bundle, document_of, experiment_flag, flags_of, want_of
from tests_kit.agent_rig import PowerCut, Rig

OLD, NEW, THIRD = Bundle(1, 40_000), Bundle(2, 40_000), Bundle(3, 40_000)
CONFIG = AgentConfig(window_ns=10 * SECOND)
TEARS = ("none", "half", "late")


class Play:
    """One device through an experiment, with at most one power cut."""

    def __init__(self, mode, end, fuse=-1, tear="half"):
        self.rig = Rig(NEW, THIRD, factory=OLD, config=CONFIG)
        self.mode, self.end, self.tear = mode, end, tear
        self.rig.publish("want", want_of(NEW, stage=True))
        self.say(1, mode)
        self.rig.fuse = fuse
        try:
            self.rig.boot()
        except PowerCut:
            self.rig.cut_power(tear)
        self.run(self.took_part)
        if end == "supersede":
            self.rig.publish("want", want_of(THIRD, 2))
        else:
            self.say(2, end)
        self.run(self.over)
        self.run_for(2 * MINUTE)

    def say(self, rev, mode):
        flag = experiment_flag(NEW, mode=mode)
        self.rig.publish("flags", flags_of(rev, document_of(experiment_e1=flag)))

    def run(self, until):
        self.rig.run(until, tear=self.tear)

    def run_for(self, duration_ns):
        end = self.rig.now + duration_ns
        self.run(lambda: self.rig.now >= end)

    def took_part(self):
        told = self.rig.telemetry.values()
        return sum(window.bundle == NEW.digest[:8] for window in told) >= 2

    def over(self):
        if self.end == "stop":
            return bool(self.rig.haves) and self.rig.reported().state is UpdateState.CANCELED
        return self.rig.committed(NEW if self.end == "promote" else THIRD)


@pytest.mark.parametrize("tear", TEARS)
@pytest.mark.parametrize(
    ("mode", "end"),
    [
        ("bandit", "promote"),
        ("shadow", "promote"),
        ("interleaved", "stop"),
        ("bandit", "supersede"),
    ],
)
def test_power_may_go_at_any_effect_of_an_experiment(mode, end, tear):
    calm = Play(mode, end)
    assert calm.rig.boot_id == 1
    step = 3
    for fuse in range(TEARS.index(tear), calm.rig.effects, step):
        play = Play(mode, end, fuse, tear)
        rig = play.rig
        where = f"{mode}, {end}: power cut after effect {fuse} of {calm.rig.effects} ({tear})"
        assert rig.boot_id == 2, where
        runs = NEW if end == "promote" else THIRD if end == "supersede" else OLD
        assert rig.committed(runs), f"{where}: it runs {rig.reported().running.hex()[:8]}"
        told = sum(window.frames for window in rig.telemetry.values())
        assert told + rig.lost_frames <= rig.executed, f"{where}: frames were told twice"
