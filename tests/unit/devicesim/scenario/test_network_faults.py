from __future__ import annotations

from pydantic import TypeAdapter

from devicesdk.wire.timebase import MINUTE, SECOND
from devicesim.scenario.action import Span
from devicesim.scenario.faults import AnyAction

READ = TypeAdapter(AnyAction).validate_python


def test_the_plainest_form_of_each():
    common = {"at": "1h", "target": "all"}
    portal = READ({"do": "captive_portal", **common})
    assert portal.existing == "silent"
    assert READ({"do": "dns.gone", **common}).ttl_ns == 0
    assert READ({"do": "dns.gone", "ttl": "5m", **common}).ttl_ns == 5 * MINUTE
    assert READ({"do": "nat.timeout", "idle": "90s", **common}).idle_ns == 90 * SECOND


def test_they_last_until_their_for_or_a_heal():
    for verb in ("hold", "captive_portal", "dns.gone"):
        action = READ({"do": verb, "at": "1h", "target": "all"})
        assert action.span is Span.OPTIONAL
        assert action.for_ns is None
