"""OpenFeature's own client over the flags of a device: values, reasons, error codes, events."""

from __future__ import annotations

import json
import threading

import pytest
from openfeature import api
from openfeature.evaluation_context import EvaluationContext
from openfeature.event import ProviderEvent
from openfeature.exception import ErrorCode, ProviderNotReadyError
from openfeature.flag_evaluation import Reason
from openfeature.provider import ProviderStatus

from devicesdk.agent.config import AgentConfig
from devicesdk.agent.flags import Flags
from devicesdk.agent.snapshot import State
from devicesdk.host.notice import Notice, Sight
from devicesdk.host.provider import FleetdrillProvider
from tests_kit.agent_bundles import identity_of, shared_of

SPLIT = {"fractional": [["on", 30], ["off", 70]]}


def flag(variants, default, **more):
    return {"state": "ENABLED", "variants": variants, "defaultVariant": default, **more}


DOCUMENT = {
    "dial": flag({"on": True, "off": False}, "on"),
    "split": flag({"on": True, "off": False}, "off", targeting=SPLIT),
    "word": flag({"red": "red", "blue": "blue"}, "blue"),
    "count": flag({"few": 3, "many": 40}, "few"),
    "ratio": flag({"half": 0.5}, "half"),
    "setup": flag({"a": {"edges": [1, 2]}, "b": {}}, "a"),
    "by-site": flag(
        {"on": True, "off": False},
        "off",
        targeting={"if": [{"==": [{"var": "site"}, "north"]}, "on", None]},
    ),
    "retired": flag({"on": True}, "on") | {"state": "DISABLED"},
    "valve": flag({"on": True, "off": False}, "on", metadata={"failSafe": True}),
    "broken": flag({"on": True}, "on", targeting={"if": [True, "nowhere"]}),
}


class Shelf:
    """A source that a test fills."""

    def __init__(self, document=DOCUMENT, killed=(), age_s=0.0, device="kiosk-0001"):
        self.sight = None
        self.put(document, killed, age_s, device)

    def put(self, document=DOCUMENT, killed=(), age_s=0.0, device="kiosk-0001"):
        raw = b"" if document is None else json.dumps({"flags": document}).encode()
        notice = Notice(device, "edge-cpu", "all", 1, raw, 1, tuple(killed))
        self.sight = Sight(notice, age_s)

    def look(self):
        return self.sight


@pytest.fixture
def connect():
    domains = []

    def make(source, **options):
        provider = FleetdrillProvider(source, watch_s=None, **options)
        domains.append(f"domain-{len(domains)}")
        api.set_provider_and_wait(provider, domains[-1])
        return api.get_client(domains[-1]), provider

    yield make
    api.clear_providers()


def test_each_type_has_its_value_variant_and_reason(connect):
    client, _ = connect(Shelf())
    asked = [
        client.get_boolean_details("dial", False),
        client.get_string_details("word", ""),
        client.get_integer_details("count", 0),
        client.get_float_details("ratio", 0.0),
        client.get_object_details("setup", {}),
    ]
    assert [one.value for one in asked] == [True, "blue", 3, 0.5, {"edges": [1, 2]}]
    assert [one.variant for one in asked] == ["on", "blue", "few", "half", "a"]
    assert {one.reason for one in asked} == {Reason.STATIC}


def test_targeting_matches_or_falls_to_the_default(connect):
    client, _ = connect(Shelf())
    north = EvaluationContext(attributes={"site": "north"})
    matched = client.get_boolean_details("by-site", False, north)
    missed = client.get_boolean_details("by-site", True)
    assert (matched.value, matched.reason) == (True, Reason.TARGETING_MATCH)
    assert (missed.value, missed.reason) == (False, Reason.DEFAULT)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("unheard-of", ErrorCode.FLAG_NOT_FOUND),
        ("word", ErrorCode.TYPE_MISMATCH),
        ("broken", ErrorCode.GENERAL),
    ],
)
def test_errors_have_their_code_and_the_programs_default(connect, name, code):
    client, _ = connect(Shelf())
    for default in (True, False):
        found = client.get_boolean_details(name, default)
        assert (found.value, found.reason, found.error_code) == (default, Reason.ERROR, code)


def test_a_device_that_no_flags_have_reached_yet_finds_none(connect):
    client, _ = connect(Shelf(document=None))
    found = client.get_boolean_details("dial", True)
    assert (found.value, found.error_code) == (True, ErrorCode.FLAG_NOT_FOUND)


def test_the_kill_list_wins_over_flag_and_default(connect):
    client, _ = connect(Shelf(killed=("dial", "word", "unheard-of")))
    for name in ("dial", "unheard-of"):
        found = client.get_boolean_details(name, True)
        assert (found.value, found.variant, found.reason) == (False, None, Reason.DISABLED)
    word = client.get_string_details("word", "safe")
    assert (word.value, word.reason) == ("safe", Reason.DISABLED)


def test_a_disabled_flag_is_the_programs_default(connect):
    client, _ = connect(Shelf())
    found = client.get_boolean_details("retired", False)
    assert (found.value, found.reason) == (False, Reason.DISABLED)


def test_out_of_contact_for_too_long_is_stale_and_goes_on_but_what_fails_safe_is_off(connect):
    source = Shelf(age_s=100.0)
    client, _ = connect(source, max_age_s=100.0)
    assert client.get_boolean_details("dial", False).reason == Reason.STATIC
    source.put(age_s=100.5)
    dial, valve = (client.get_boolean_details(name, True) for name in ("dial", "valve"))
    assert (dial.value, dial.variant, dial.reason) == (True, "on", Reason.STALE)
    assert (valve.value, valve.reason) == (False, Reason.STALE)
    assert client.get_boolean_details("unheard-of", True).reason == Reason.ERROR


def test_a_percentage_falls_as_it_falls_for_the_agent(connect):
    config = AgentConfig(features=("gauge", "split"))
    document = json.dumps({"flags": DOCUMENT}).encode()
    source = Shelf()
    client, _ = connect(source)
    taken = 0
    for number in range(200):
        device = f"kiosk-{number:04}"
        shared = shared_of(config)
        shared.identity = identity_of(None, device)
        agents = Flags(shared, State(flags_rev=1, flags=document)).enabled("split")
        source.put(device=device)
        found = client.get_boolean_details("split", False)
        assert found.value is agents, f"{device}: the agent says {agents}"
        assert found.reason == Reason.TARGETING_MATCH
        taken += agents
    assert 40 <= taken <= 80, f"{taken} of 200 devices at 30 %"


def test_a_program_may_bring_a_targeting_key_of_its_own(connect):
    client, _ = connect(Shelf())
    answers = {
        client.get_boolean_value("split", False, EvaluationContext(f"user-{number}"))
        for number in range(40)
    }
    assert answers == {True, False}


def test_events_tell_readiness_staleness_and_what_changed(connect):
    source = Shelf()
    client, provider = connect(source, max_age_s=60.0)
    told, dispatch = [], provider._on_emit

    def tell(who, event, said):  # the client's own handlers run in a pool, in any order
        told.append((event, said.flags_changed))
        dispatch(who, event, said)

    provider.attach(tell)
    provider.poll()
    assert told == []
    source.put(DOCUMENT | {"word": flag({"red": "red"}, "red")}, killed=("dial",))
    provider.poll()
    assert told == [(ProviderEvent.PROVIDER_CONFIGURATION_CHANGED, ["dial", "word"])]
    told.clear()
    source.put(DOCUMENT | {"word": flag({"red": "red"}, "red")}, killed=("dial",), age_s=61.0)
    provider.poll()
    provider.poll()
    assert [event for event, _ in told] == [ProviderEvent.PROVIDER_STALE]
    assert client.get_provider_status() is ProviderStatus.STALE
    source.put(killed=("dial",))
    provider.poll()
    assert [event for event, _ in told[1:]] == [
        ProviderEvent.PROVIDER_READY,
        ProviderEvent.PROVIDER_CONFIGURATION_CHANGED,
    ]
    assert client.get_provider_status() is ProviderStatus.READY


def test_before_any_device_has_posted_the_program_has_its_defaults_and_hears_when_one_does():
    source = Shelf()
    known, source.sight = source.sight, None
    provider = FleetdrillProvider(source, watch_s=None)
    try:
        with pytest.raises(ProviderNotReadyError):
            api.set_provider_and_wait(provider, "early")
        client = api.get_client("early")
        assert client.get_boolean_details("dial", False).error_code
        source.sight = known
        provider.poll()
        assert client.get_provider_status() is ProviderStatus.READY
        assert client.get_boolean_value("dial", False) is True
    finally:
        api.clear_providers()


def test_a_thread_of_its_own_tells_events_and_ends_with_the_provider():
    source, heard = Shelf(), threading.Event()
    provider = FleetdrillProvider(source, watch_s=0.01)
    try:
        api.set_provider_and_wait(provider, "watched")
        client = api.get_client("watched")
        client.add_handler(ProviderEvent.PROVIDER_CONFIGURATION_CHANGED, lambda _: heard.set())
        source.put(killed=("dial",))
        assert heard.wait(10), "nobody told that a feature was killed"
    finally:
        api.clear_providers()
    assert not [t for t in threading.enumerate() if t.name == "fleetdrill-flags"]
