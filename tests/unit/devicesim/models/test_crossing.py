"""Unit-test twin of `devicesim/models/crossing.py`."""

from __future__ import annotations

import pytest

from devicesim.models import crossing
from devicesim.models.crossing import Modifier


def test_each_hardship_touches_its_own_figure():
    assert crossing.heat_wave(10.0) == Modifier(air_k=10.0)
    assert crossing.sun(5.0) == Modifier(sun_w=5.0)
    assert crossing.battery_age(0.8, 1.8) == Modifier(capacity=0.8, resistance=1.8)
    assert crossing.plugged(True) == Modifier(plugged=True)
    assert crossing.load(2.0) == Modifier(load_cores=2.0)


def test_a_hardship_beyond_reason_is_refused():
    for bad in ({"capacity": 0.0}, {"capacity": 1.1}, {"resistance": 0.0}, {"load_cores": -1.0}):
        with pytest.raises(ValueError, match="expected 0 < capacity"):
            Modifier(**bad)
