"""Every effect of the alphabet has one hand on a real device that performs it."""

from __future__ import annotations

import typing

from devicesdk.agent import effects
from devicesdk.host.host import Host
from devicesdk.host.workshop import Workshop


def test_host_and_workshop_share_the_effects_out_between_them():
    at_once = set(Host._performs(Host.__new__(Host)))
    later = set(Workshop.performs(Workshop.__new__(Workshop)))
    assert at_once & later == set(), "performed twice"
    assert at_once | later == set(typing.get_args(effects.AnyEffect))
