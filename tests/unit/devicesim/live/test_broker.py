"""A real broker as the measures see it: what cannot be counted is not counted, and nothing else is lost."""

from __future__ import annotations

from types import SimpleNamespace

from devicesim.live.broker import LiveBrokerView
from devicesim.world.broker.limits import BrokerLimits
from devicesim.world.checks.messages import copies_unaccounted
from devicesim.world.ledger import UP, Ledger


def test_a_message_under_way_when_a_live_run_ends_is_not_lost():
    ledger, view = Ledger(), LiveBrokerView(BrokerLimits())
    ledger.opened(UP, "have")
    wire = [1]
    world = SimpleNamespace(
        ledger=ledger,
        broker=SimpleNamespace(core=view),
        gateway=SimpleNamespace(on_the_wire=lambda: 0),
        hosts=[SimpleNamespace(path=SimpleNamespace(on_the_wire=lambda: (wire[0], 0)))],
    )
    assert copies_unaccounted(world) == 0
    wire[0] = 0
    assert copies_unaccounted(world) == 1, "it is on no wire, and nobody has it"
