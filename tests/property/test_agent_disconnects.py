"""The connection breaks before *every* message of an update: nothing is fetched twice, nothing hangs."""

from __future__ import annotations

import pytest

from devicesdk.agent.config import AgentConfig
from devicesdk.wire.timebase import MINUTE
from tests_kit.agent_bundles import Bundle, want_of
from tests_kit.agent_rig import Rig

OLD, NEW = Bundle(1), Bundle(2)
CONFIG = AgentConfig(window_ns=MINUTE)


def _rig(cut_before=-1):
    rig = Rig(NEW, factory=OLD, config=CONFIG)
    rig.publish("want", want_of(NEW))
    rig.cut_before_message = cut_before
    rig.boot()
    rig.run(lambda: rig.committed(NEW))
    return rig


def test_a_disconnect_before_every_message():
    messages = _rig().messages
    assert messages > 20
    for place in range(messages):
        rig = _rig(place)
        twice = {chunk: times for chunk, times in rig.chunks.items() if times > 1}
        assert not twice, f"disconnect before message {place}: fetched again: {twice}"
        rig.run_for(5 * MINUTE)
        reported = sum(window.frames for window in rig.telemetry.values())
        assert reported == rig.executed, (
            f"disconnect before message {place}: {rig.executed} frames ran, {reported} reported"
        )


def test_events_and_windows_arrive_once_and_without_a_gap():
    for place in range(0, 30, 3):
        rig = _rig(place)
        rig.run_for(10 * MINUTE)
        for seqs in (sorted(seq for _, seq in rig.telemetry), sorted(seq for _, seq in rig.events)):
            assert seqs == list(range(1, len(seqs) + 1))


@pytest.mark.parametrize("every", [3, 5, 8])
def test_a_link_that_breaks_all_the_time_still_gets_there(every):
    rig = Rig(NEW, factory=OLD, config=CONFIG)
    rig.publish("want", want_of(NEW))
    rig.boot()

    def harassed():
        if rig.cut_before_message < 0 and not rig.committed(NEW):
            rig.cut_before_message = rig.messages + every
        return rig.committed(NEW)

    rig.run(harassed)
    assert max(rig.chunks.values()) == 1, "a chunk was fetched twice"
