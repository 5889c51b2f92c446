"""An agent that chooses, defers and asks while power and links go: what ran is reported, once, and nothing is kept for nobody."""

from __future__ import annotations

import msgspec
import pytest

from devicesdk.agent.config import AgentConfig
from devicesdk.wire.timebase import MINUTE
from tests_kit.agent_bundles import Bundle, flags_of, want_of
from tests_kit.agent_rig import PowerCut, Rig

OLD, NEW = Bundle(1), Bundle(2)
POLICIES = {
    # Nobody answers in this rig: every ask ends in frames that are run here.
    "ask": {"rules": [{"name": "ask", "use": {"path": "offload"}}], "offload": {"pause_s": 0}},
    # Online is always unmetered here, so frames are deferred offline and run online.
    "defer": {
        "rules": [
            {"name": "wait", "when": {"link": ["offline"]}, "use": {"path": "defer"}},
            {"name": "run"},
        ],
        "defer": {"bursts_max": 2}, "margin": {"hold_s": 0},
    },
}  # fmt: skip
CONFIG = AgentConfig(window_ns=MINUTE, offload_consent=True)


def rig_of(policy):
    def flag(value):
        return {"state": "ENABLED", "variants": {"v": value}, "defaultVariant": "v"}

    document = msgspec.json.encode({"flags": {"policy": flag(policy), "offload": flag(True)}})
    rig = Rig(NEW, factory=OLD, config=CONFIG)
    rig.publish("flags", flags_of(1, document))
    rig.publish("want", want_of(NEW))
    return rig


def check(rig, story):
    reported = sum(window.frames for window in rig.telemetry.values())
    lost = rig.executed - reported
    assert lost >= 0, f"{story}: {reported} frames reported, {rig.executed} ran"
    assert len(rig.kept) <= 4, f"{story}: {len(rig.kept)} bursts are kept"
    rig.agent.validate()
    return lost


@pytest.mark.parametrize("name", POLICIES)
def test_a_disconnect_before_every_message(name):
    quiet = rig_of(POLICIES[name])
    quiet.boot()
    quiet.run(lambda: quiet.committed(NEW))
    quiet.run_for(10 * MINUTE)
    messages = quiet.messages
    assert messages > 20
    for place in range(0, messages, 2):
        rig = rig_of(POLICIES[name])
        rig.cut_before_message = place
        rig.boot()
        rig.run(lambda rig=rig: rig.committed(NEW))
        rig.run_for(10 * MINUTE)
        assert check(rig, f"{name}, before message {place}") == 0, (
            "a frame that ran was not reported"
        )


@pytest.mark.parametrize("name", POLICIES)
def test_a_cut_at_every_fifth_effect(name):
    for place in range(3, 160, 5):
        rig = rig_of(POLICIES[name])
        rig.fuse = place
        try:
            rig.boot()
        except PowerCut:
            rig.cut_power("half")
        rig.run(lambda rig=rig: rig.committed(NEW), tear="half")
        try:
            rig.run_for(10 * MINUTE)
        except PowerCut:
            rig.cut_power("half")
            rig.run_for(10 * MINUTE)
        check(rig, f"{name}, cut at {place}")
        assert rig.telemetry, "nothing runs any more"


def test_both_paths_are_taken():
    for name, note in (("ask", "ask_failed"), ("defer", "deferred")):
        rig = rig_of(POLICIES[name])
        rig.boot()
        rig.run(lambda rig=rig: rig.committed(NEW))
        for _ in range(20):
            rig.run_for(MINUTE)
            if name == "defer":
                rig.disconnect()
        assert rig.notes[note], f"{note} never happened: {dict(rig.notes)}"
