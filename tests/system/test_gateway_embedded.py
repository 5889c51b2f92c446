"""The embedded broker, end to end: a gateway that starts it, a real device, one update, and what it lacks."""

from __future__ import annotations

import pytest

from gateway.adapters.brokers.embedded import LACKS
from gateway.runtime import verbs
from tests_kit.works import STAMPED, Works

DEVICE = "kiosk-1"


@pytest.fixture
def works(tmp_path):
    works = Works(tmp_path, DEVICE)
    yield works
    works.close()


def test_a_device_is_updated_through_the_embedded_broker_which_says_what_it_lacks(works):
    works.gateway("--broker", "embedded")
    line = works.until_logged("gateway", "INFO broker: embedded broker .* at mqtt://127.0.0.1:")
    works.until(lambda: works.ask(verbs.Overview()), "the gateway to open its door")
    works.ask(verbs.EnrollDevice(device=DEVICE, labels={"role": "kiosk"}))
    address = next(word for word in line.split() if word.startswith("mqtt://"))
    works.device(DEVICE, address.rstrip(","))
    for version in ("1.0.0", "1.1.0"):
        works.until_runs(DEVICE, works.roll_out(version, "kiosk"))
        works.undisturbed()
    said = works.log("gateway").splitlines()
    for lack in LACKS:
        told = [line for line in said if line.endswith(lack)]
        assert len(told) == 1, f"expected to be told once: {lack!r}, found {told}"
        assert " WARNING " in told[0]
    assert all(STAMPED.match(line) for line in said), works.log("gateway")
