"""What real devices and gateways are handed never acts, and places have names of their own."""

from __future__ import annotations

from devicesdk.wire.hardship import CALM, Site
from devicesim.world.buggify import SITES


def test_calm_never_acts() -> None:
    assert not any(CALM.fires(Site("a.b", "c")) for _ in range(1000))
    assert CALM.below(Site("a.b", "c"), 10) == 0


def test_places_have_names_of_their_own_and_say_what_they_do() -> None:
    names = [site.name for site in SITES]
    assert len(set(names)) == len(names) >= 12
    assert all(site.what.endswith(".") and 0 < site.share <= 1 for site in SITES)
    assert {name.split(".")[0] for name in names} == {"agent", "device", "gateway", "core"}
