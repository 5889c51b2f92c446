"""By which names a gateway may be asked, and who counts as one peer."""

import pytest

from gateway.api.crowd import SPARE, Crowd, peer_of
from gateway.api.gate import Gate

GATE = Gate(["Fleet.Example.", "*.plants.example", "0.0.0.0"])


@pytest.mark.parametrize("host", ["localhost", "fleet.example:1", "a.plants.example", "192.0.2.1:80", "[2001:db8::1]"])  # fmt: skip
def test_these_are_names_of_ours(host):
    assert GATE.known(host.encode())


@pytest.mark.parametrize(
    "host",
    ["", ".", ":80", "example", "plants.example", ".plants.example.evil", "x.fleet.example", "fleet.example:",
     "fleet.example:123456", "[fleet.example]", "::1", "fleet.example fleet.example", "fleet.example\x00", "2130706433x"],
)  # fmt: skip
def test_these_are_not(host):
    assert not GATE.known(host.encode())


def test_a_network_that_one_customer_gets_is_one_peer():
    assert peer_of("2001:db8:1:2:3:4:5:6") == peer_of("2001:db8:1:2::9") == "2001:db8:1:2::/64"
    assert peer_of("2001:db8:1:3::9") != peer_of("2001:db8:1:2::9")
    assert peer_of("::ffff:192.0.2.1") == peer_of("192.0.2.1") == "192.0.2.1"
    assert peer_of("fe80::1%eth0") == "fe80::/64"
    assert (peer_of(""), peer_of("@unix")) == ("?", "@unix")


def test_a_crowd_is_told_so_then_turned_away_and_forgotten():
    crowd = Crowd(all_max=100, peer_max=8, proxies=("192.0.2.9",))
    entered = [crowd.enter("a") for _ in range(30)]
    assert entered.count(True) == 8 + 2 + SPARE
    assert "of a" in crowd.over("a")
    assert crowd.over("b") == ""
    assert all(crowd.enter("192.0.2.9") for _ in range(80)), "a proxy brings many"
    assert "at most 100 connections" not in crowd.over("b")
    while crowd.enter("192.0.2.9"):
        pass
    assert len(crowd) == 100 + 25 + SPARE
    assert "at most 100 connections" in crowd.over("b")
    for _ in range(entered.count(True)):
        crowd.leave("a")
    assert crowd.over("a") == crowd.over("b")
    while len(crowd):
        crowd.leave("192.0.2.9")
    assert crowd.over("a") == ""
    assert crowd.enter("a")
