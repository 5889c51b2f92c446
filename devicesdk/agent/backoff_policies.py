"""What client libraries do about a lost connection, by name, as they come out of the box.

Decides curve, jitter, and reset of each. The figures are the defaults of the versions named, read in their
source or documentation. Leaves out the formulas (backoff.py), and what an application built on a library
may set otherwise: a policy is a library whose user changed nothing.

Two figures that matter more than they look:

- *reset*: who forgets the growth at CONNACK, and is then cut off by an overloaded broker, begins again at
  its shortest wait; who waits for a session to live for a while does not.
- *cap after the draw* (AWS): late draws lie beyond the cap and are cut to it, so that after some ten
  failures "full jitter" is a constant wait. What was spread before stays spread; what was not never will be.

Sources:

    paho-python       paho-mqtt 2.1, `Client.reconnect_delay_set` (1 to 120 s) and `_reconnect_wait`
    paho-java         Eclipse Paho Java 1.2, `MqttAsyncClient`: 1 s doubled up to `maxReconnectDelay` of 128 s
    paho-c            Eclipse Paho C 1.3, `MQTTAsync_retry`, `MQTTAsync_randomJitter`: 1 to 60 s, factor 1.2
    paho-go           Eclipse Paho Go 1.3, `client.reconnect`: at once, then 1 s doubled up to 10 minutes
    hivemq            HiveMQ MQTT Client 1.3, `MqttClientAutoReconnectImpl`: 1 s to 2 min, 25 % to both sides;
                      https://www.hivemq.com/blog/hivemq-mqtt-client-features-reconnect-handling/
    aws-sdk-v2        aws-c-mqtt, source/v5/mqtt5_client.c (full jitter, cut after the draw) with the defaults
                      of the bindings (aws-crt-nodejs mqtt5_client.c): 1 s, 120 s, reset after 30 s
    aws-sdk-v2-mqtt3  aws-c-mqtt, source/client.c: 1 s doubled up to 128 s, reset after 10 s, no jitter
    aws-embedded-c    AWS IoT Device SDK for Embedded C 202211, demos: backoffAlgorithm with 500 ms, 5 s, five
                      retries, and the next round of the demo 5 s later
    azure-iot         Azure IoT SDK for Java and for C#, ExponentialBackoffWithJitter: at once, then
                      min(100 ms + (2^n - 1) x 100 ms x (0.8 to 1.2), 10 s)
    azure-iot-python  azure-iot-device 2, `ReconnectStage`: at once, then every 10 s
    mosquitto         libmosquitto 2.0, `mosquitto_reconnect_delay_set`: every second
    mqtt-js           MQTT.js 5, `reconnectPeriod`: every second
    esp-mqtt          ESP-IDF 5, `MQTT_RECON_DEFAULT_MS`: every ten seconds
    full-jitter, equal-jitter, decorrelated-jitter, no-jitter
                      M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 4 March 2015,
                      with the base of 1 s, the cap of 120 s and the reset after 60 s of this agent

Rules: names are lower case with dashes; a policy never changes its meaning, another version of a library
that does otherwise gets a name of its own.
"""

from __future__ import annotations

from typing import Final

import msgspec

from devicesdk.agent.config import BackoffConfig
from devicesdk.wire.timebase import MINUTE, MS, SECOND


class Policy(msgspec.Struct, frozen=True):
    """One way to come back; `about` is a line for tables, `library` empty for one from a textbook."""

    config: BackoffConfig
    library: str
    about: str


def _policy(library: str, about: str, **config: int | str | bool) -> Policy:
    return Policy(msgspec.convert(config, BackoffConfig), library, about)


_AT_CONNACK: Final[dict[str, int | str | bool]] = {"reset": "connack", "stable_ns": 0}

_NAMELESS: Final[dict[str, Policy]] = {
    "paho-python": _policy(
        "Eclipse Paho Python 2.1", "1 s doubling to 120 s", jitter="none", **_AT_CONNACK
    ),
    "paho-java": _policy(
        "Eclipse Paho Java 1.2", "1 s doubling to 128 s",
        cap_ns=128 * SECOND, jitter="none", **_AT_CONNACK,
    ),
    "paho-c": _policy(
        "Eclipse Paho C 1.3", "1 s doubling to 60 s, -17 % to +20 %",
        cap_ns=MINUTE, jitter="share", below_permille=167, above_permille=200, **_AT_CONNACK,
    ),
    "paho-go": _policy(
        "Eclipse Paho Go 1.3", "at once, then 1 s doubling to 10 min",
        cap_ns=10 * MINUTE, jitter="none", first_ns=0, **_AT_CONNACK,
    ),
    "hivemq": _policy(
        "HiveMQ MQTT Client 1.3", "1 s doubling to 120 s, then -25 % to +25 %",
        jitter="share", below_permille=250, above_permille=250, **_AT_CONNACK,
    ),
    "aws-sdk-v2": _policy(
        "AWS IoT Device SDK v2, MQTT 5", "full jitter from 1 s, cut to 120 s after the draw",
        jitter="full", cap_after=True, stable_ns=30 * SECOND,
    ),
    "aws-sdk-v2-mqtt3": _policy(
        "AWS IoT Device SDK v2, MQTT 3.1.1", "1 s doubling to 128 s",
        cap_ns=128 * SECOND, jitter="none", stable_ns=10 * SECOND,
    ),
    "aws-embedded-c": _policy(
        "AWS IoT Device SDK for Embedded C", "full jitter, 0.5 s to 5 s, 5 retries, 5 s rest",
        base_ns=500 * MS, cap_ns=5 * SECOND, jitter="full", attempts_max=5, rest_ns=5 * SECOND,
        **_AT_CONNACK,
    ),
    "azure-iot": _policy(
        "Azure IoT SDK for Java and C#", "at once, then 0.2 s doubling to 10 s, -20 % to +20 %",
        base_ns=100 * MS, cap_ns=10 * SECOND, growth="delta", step_ns=100 * MS, jitter="share",
        below_permille=200, above_permille=200, cap_after=True, first_ns=0, **_AT_CONNACK,
    ),
    "azure-iot-python": _policy(
        "Azure IoT SDK for Python 2", "at once, then every 10 s",
        base_ns=10 * SECOND, cap_ns=10 * SECOND, growth="constant", jitter="none", first_ns=0,
        **_AT_CONNACK,
    ),
    "mosquitto": _policy(
        "libmosquitto 2.0", "every second",
        cap_ns=SECOND, growth="constant", jitter="none", **_AT_CONNACK,
    ),
    "mqtt-js": _policy(
        "MQTT.js 5", "every second",
        cap_ns=SECOND, growth="constant", jitter="none", **_AT_CONNACK,
    ),
    "esp-mqtt": _policy(
        "ESP-IDF 5", "every 10 seconds",
        base_ns=10 * SECOND, cap_ns=10 * SECOND, growth="constant", jitter="none", **_AT_CONNACK,
    ),
    "full-jitter": _policy("", "uniform from 0 to 1 s doubling to 120 s", jitter="full"),
    "equal-jitter": _policy("", "the upper half of 1 s doubling to 120 s", jitter="equal"),
    "decorrelated-jitter": _policy("", "1 s to three times the last wait, to 120 s"),
    "no-jitter": _policy("", "1 s doubling to 120 s", jitter="none"),
}  # fmt: skip

POLICIES: Final[dict[str, Policy]] = {
    name: Policy(msgspec.structs.replace(policy.config, policy=name), policy.library, policy.about)
    for name, policy in _NAMELESS.items()
}
"""By name, libraries first."""


def named(name: str) -> BackoffConfig:
    """The back-off of that name.

    Raises:
        KeyError: there is none; `POLICIES` has all.
    """
    return POLICIES[name].config
