"""The broker that comes with the installation: rumqttd in a child process, by the package `iotcore`.

Decides its configuration and says what it lacks beside mosquitto, in words people see. Leaves out the
child's own code (embedded_child.py).

Rules: it listens on loopback alone, for it knows neither passwords nor permissions; it is for trying
things out, never for a plant.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Final

from devicesdk.aio.port import Endpoint
from gateway.adapters.brokers.process import BrokerError, BrokerProcess, free_port, ready_folder
from gateway.adapters.brokers.running import RunningBroker
from gateway.adapters.brokers.settings import INFLIGHT_MESSAGES_MAX, PACKET_BYTES_MAX

HOST: Final = "127.0.0.1"
LACKS: Final = (
    "nothing is kept on disk: a restart forgets sessions, queues and retained messages",
    "sessions do not expire by the time that clients ask for",
    "no passwords, no permissions by topic: loopback only",
    "MQTT 5 only, at about a sixth of mosquitto's rate",
)
CONNECTIONS_MAX: Final = 10_000
CONFIG: Final = """\
id = 0

[router]
id = 0
max_connections = {connections}
max_outgoing_packet_count = 200
max_segment_size = 104857600
max_segment_count = 10

[v5.1]
name = "v5-1"
listen = "{host}:{port}"
next_connection_delay_ms = 1

[v5.1.connections]
connection_timeout_ms = 60000
max_payload_size = {packet}
max_inflight_count = {inflight}
dynamic_filters = true
"""


async def start_embedded(folder: Path, *, port: int = 0) -> RunningBroker:
    """Write a configuration into `folder` and start the embedded broker on loopback.

    Args:
        folder: for configuration and log; made if need be.
        port: port to listen on; 0 for a free one.

    Raises:
        BrokerError: the package is not installed, or the broker did not start.
    """
    if importlib.util.find_spec("iotcore") is None:
        raise BrokerError(
            "expected the package iotcore for the embedded broker, found it missing: "
            "pip install 'fleetdrill[gateway]', or apt-get install mosquitto"
        )
    folder = ready_folder(folder)
    port = port or free_port(HOST)
    config = folder / "embedded.toml"
    config.write_text(
        CONFIG.format(
            connections=CONNECTIONS_MAX,
            host=HOST,
            port=port,
            packet=PACKET_BYTES_MAX,
            inflight=INFLIGHT_MESSAGES_MAX,
        )
    )
    command = (sys.executable, "-m", "gateway.adapters.brokers.embedded_child", str(config))
    process = BrokerProcess(command, folder, HOST, port, lifeline=True)
    await process.start()
    return RunningBroker(
        "embedded broker (rumqttd)", Endpoint(host=HOST, port=port), lacks=LACKS, process=process
    )
