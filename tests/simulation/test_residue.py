"""What a fault leaves behind when it is over: nothing, or a promise is broken."""

import pytest

from devicesdk.agent.backoff import Backoff
from devicesdk.agent.session import Session
from devicesdk.wire.timebase import DAY, SECOND
from tests_kit import worlds

OUTAGE = """timeline:
  - {id: dark, at: 1h, for: 20m, do: partition, how: reset, target: all}
checks:
  always: [conservation]
  eventually: [{no_residue: 20%, within: 20m, after: dark, quiet: 10m}]
"""


def run():
    drill = worlds.make_drill(worlds.scenario_text(OUTAGE, count=12, duration="2h30m"))
    drill.world.run()
    return drill.checks[-1]


def nobody_comes_back(patch):
    following = Backoff.next
    patch.setattr(
        Backoff, "next", lambda self, dice: DAY if self.losses > 2 else following(self, dice)
    )


def everybody_flaps_ever_after(patch):
    """Having been away once, a device ends each session of its own after some seconds."""
    online = Session._go_online

    def restless(self, now):
        online(self, now)
        if self.number > 3:
            self.at = now + 20 * SECOND

    due = Session.due

    def gives_up(self, now):
        if self._shared.online and now >= self.at:
            self.give_up("restless", now)
        else:
            due(self, now)

    patch.setattr(Session, "_go_online", restless)
    patch.setattr(Session, "due", gives_up)
    patch.setattr(Session, "validate", lambda self: None)


def test_a_fleet_that_recovers_leaves_nothing():
    check = run()
    assert check.verdict is True, check.story()
    assert check.title == "no residue above 20 % within 20m after dark, for 10m"


@pytest.mark.parametrize(
    ("bug", "found"),
    [
        (nobody_comes_back, "fleet.online_ratio 0.00 %, before(fleet.online_ratio) 100.00 %"),
        (everybody_flaps_ever_after, "fleet.connects_per_minute"),
    ],
)
def test_a_trigger_that_is_gone_with_an_effect_that_is_not(monkeypatch, bug, found):
    bug(monkeypatch)
    check = run()
    assert check.verdict is False
    assert found in check.story()
