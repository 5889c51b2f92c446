from __future__ import annotations

from gateway.core.transfers import rows
from gateway.core.transfers.limits import TransferLimits
from gateway.core.transfers.transfers import Transfers


def test_nothing_is_durable_so_a_restored_machine_is_a_new_one() -> None:
    assert rows.TABLES == {}
    machine = Transfers(TransferLimits())
    assert machine.restore([("control.kill", "", None)], 5) == []
    assert machine.deadline() is None
    machine.validate()
