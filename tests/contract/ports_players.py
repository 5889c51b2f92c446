"""Which adapters play the port contract, on which event loop, and how a test gets one."""

from __future__ import annotations

import asyncio

import pytest
import uvloop

from devicesdk.aio.aiomqtt_port import AiomqttPort
from devicesdk.aio.lean import LeanPort
from devicesdk.aio.port import Dial, Endpoint
from tests.contract.ports_kit import Ear, broker  # noqa: F401 - a fixture

KINDS = {
    "lean-asyncio": (LeanPort, asyncio.DefaultEventLoopPolicy),
    "lean-uvloop": (LeanPort, uvloop.EventLoopPolicy),
    "aiomqtt": (AiomqttPort, asyncio.DefaultEventLoopPolicy),
}


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture
def event_loop_policy(kind):
    return KINDS[kind][1]()


@pytest.fixture
async def make_port(kind):
    made = []

    def make(endpoint):
        ear = Ear()
        made.append(KINDS[kind][0](endpoint, ear))
        return made[-1], ear

    yield make
    for port in made:
        port.abort()
    await asyncio.sleep(0.05 if kind == "aiomqtt" else 0.005)


@pytest.fixture
def name(request):
    """A prefix for client ids and topics that no other test has."""
    return request.node.name.translate(str.maketrans("[]", "--"))


@pytest.fixture
def connect(broker, make_port):  # noqa: F811 - the fixture
    """A connected port and its ear."""

    async def connected(client_id, endpoint=None, **wishes):
        port, ear = make_port(endpoint or Endpoint(port=broker.port))
        port.connect(Dial(client_id=client_id, **wishes))
        await ear.until("connected")
        return port, ear

    return connected


async def round_trip(port, ear, name):
    """Ask and hear the answer: the broker has then read what was sent before."""
    asked = len(ear.all("suback"))
    port.subscribe((f"{name}/no/such",))
    await ear.until("suback", asked + 1)


async def subscribed(port, ear, *filters):
    port.subscribe(filters)
    return (await ear.until("suback"))[0]
