"""Broker URLs: what they mean, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from gateway.adapters.brokers.find import endpoint_of, open_broker
from gateway.adapters.brokers.process import BrokerError
from gateway.adapters.brokers.running import NotOursError
from gateway.adapters.certificates import make_tls
from gateway.adapters.keys import KeyFileError

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("url", "host", "port", "user", "password"),
    [
        ("mqtt://plant.example", "plant.example", 1883, None, None),
        ("mqtt://10.0.0.7:1999", "10.0.0.7", 1999, None, None),
        ("mqtt://[::1]:1999/", "::1", 1999, None, None),
        ("mqtt://me:p%40ss@host", "host", 1883, "me", "p@ss"),
        ("mqtts://host", "host", 8883, None, None),
    ],
)
def test_a_url_names_an_endpoint(url, host, port, user, password):
    found = endpoint_of(url)
    assert (found.host, found.port, found.username, found.password) == (host, port, user, password)
    assert (found.tls is not None) == url.startswith("mqtts")


@pytest.mark.parametrize(
    "url",
    ["", "nonsense", "http://host", "mqtt://", "mqtt://host:port", "mqtt://host/path", "mqtt:host",
     "mqtt://host:99999", "mqtts://host?tls=no"],
)  # fmt: skip
def test_other_urls_are_refused_and_the_message_shows_what_would_do(url):
    with pytest.raises(BrokerError, match="expected one of auto, mosquitto, embedded, mqtt://"):
        endpoint_of(url)


def test_certificates_ask_for_tls(tmp_path):
    with pytest.raises(BrokerError, match="expected mqtts://"):
        endpoint_of("mqtt://host", tmp_path)


async def test_certificates_are_not_ignored_by_a_broker_that_we_start(tmp_path):
    with pytest.raises(BrokerError, match="expected the mqtts:// URL"):
        await open_broker("auto", tmp_path, certificates=tmp_path)


def test_certificates_without_an_authority_are_refused(tmp_path):
    with pytest.raises(KeyFileError, match=r"ca\.crt"):
        endpoint_of("mqtts://host", tmp_path)


async def test_somebody_elses_broker_is_named_and_never_touched(tmp_path):
    async with await open_broker("mqtt://127.0.0.1:1", tmp_path) as broker:
        assert (broker.ours, broker.alive, broker.pid, broker.log) == (False, True, None, None)
        assert broker.url == "mqtt://127.0.0.1:1"
        for act in (broker.kill, broker.freeze, broker.thaw):
            with pytest.raises(NotOursError, match="somebody else runs"):
                act()
        with pytest.raises(NotOursError, match="restart it there"):
            await broker.restart()
    assert list(tmp_path.iterdir()) == []


async def test_each_user_gets_an_endpoint_with_its_own_certificate(tmp_path):
    make_tls(tmp_path / "tls", ("host",), ("gateway-control", "gateway-data"), NOW, 30)
    broker = await open_broker("mqtts://host", tmp_path, certificates=tmp_path / "tls")
    control, data = (broker.endpoint_for(u) for u in ("gateway-control", "gateway-data"))
    assert control.tls is not data.tls
    assert control.tls is not broker.endpoint.tls
    with pytest.raises(KeyFileError, match="dev-9"):
        broker.endpoint_for("dev-9")


async def test_without_certificates_all_users_share_the_endpoint(tmp_path):
    broker = await open_broker("mqtt://host", tmp_path)
    assert broker.endpoint_for("gateway-data") is broker.endpoint
