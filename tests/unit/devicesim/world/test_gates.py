"""What stands before a new connection, gate by gate."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from devicesim.entropy import Entropy
from devicesim.world import gates
from devicesim.world.fault_kit import Layers
from devicesim.world.gates import BAD_CERTIFICATE, UNRESOLVED, Certificate, Gates


@pytest.fixture
def path():
    return SimpleNamespace(
        gates=None, is_open=False, cleared_at=0, rtt_ns=lambda _: 5, handshake_ns=lambda _: 15
    )


def test_a_path_has_gates_only_while_a_fault_lies_over_it(path):
    def lay(step):
        return lambda on: setattr(on, "refusals", on.refusals + step)

    gates.change(path, 10, lay(1))
    gates.change(path, 20, lay(1))
    gates.change(path, 30, lay(-1))
    assert path.gates is not None
    assert path.cleared_at == 0
    gates.change(path, 40, lay(-1))
    assert path.gates is None
    assert path.cleared_at == 40


def test_for_a_device_that_is_connected_nothing_is_cleared(path):
    path.is_open = True
    gates.change(path, 10, lambda on: setattr(on, "portals", 1))
    gates.change(path, 20, lambda on: setattr(on, "portals", 0))
    assert path.cleared_at == 0


def test_the_name_comes_before_the_certificate_and_a_portal_hides_it(path):
    on = Gates()
    on.certificates.append(Certificate(0, 9, lambda now: now))
    assert on.stops(path, 9) is None, "both bounds are inclusive"
    assert on.stops(path, 10) == (15, BAD_CERTIFICATE)
    on.portals = 1
    assert on.stops(path, 10) is None, "nobody shows the broker's certificate"
    on.nameless = 1
    assert on.stops(path, 10) == (5, UNRESOLVED)
    assert on.nameless_seen


def test_of_flow_controls_the_strictest_counts():
    on = Gates()
    assert not on.busy()
    on.let_in = Entropy(1).stream("luck", "x")
    on.flows = [0.9, 0.2]
    turned = sum(on.busy() for _ in range(1000))
    assert 740 < turned < 860


def test_layers_are_lifted_in_any_order():
    layers, seen = Layers(), []
    lift_a = layers.lay("rate", 5, seen.append)
    lift_b = layers.lay("rate", 9, seen.append)
    layers.lay("other", 1, lambda _: None)
    lift_a(0)
    lift_b(0)
    assert seen == [[5], [5, 9], [9], []]
