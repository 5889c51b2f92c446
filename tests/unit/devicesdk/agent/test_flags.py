"""Kills before flags, signatures before both, versions only up."""

from __future__ import annotations

import json

import pytest

from devicesdk.agent.config import AgentConfig
from devicesdk.agent.flags import Flags
from devicesdk.agent.notes import NoteKind
from devicesdk.agent.snapshot import State
from devicesdk.bundle.trust import ROLE_DIRECTOR
from devicesdk.wire import codec
from devicesdk.wire.errors import BadMessage, BadSignature, ProtocolError
from devicesdk.wire.messages import KillList
from tests_kit.agent_bundles import SIGNERS, flags_of, identity_of, kill_of, shared_of

CONFIG = AgentConfig(features=("gauge", "new-dial"))


def _document(**flags):
    return json.dumps({"flags": flags}).encode()


def _switch(value, state="ENABLED", **more):
    return {
        "state": state,
        "variants": {"on": True, "off": False, "word": "yes"},
        "defaultVariant": value,
        **more,
    }


def _percent(share):
    split = {"fractional": [["on", share], ["off", 100 - share]]}
    return _switch("off", targeting=split)


def _flags(state=None, device=None):
    shared = shared_of(CONFIG)
    if device is not None:
        shared.identity = identity_of(None, device)
    return Flags(shared, state or State()), shared


def _notes(shared):
    return [effect.kind for effect in shared.out]


def test_before_any_document_inference_is_on_and_what_is_new_is_off():
    flags, shared = _flags()
    assert flags.enabled("gauge")
    assert not flags.enabled("new-dial")
    assert not flags.enabled("unheard-of")
    assert not shared.out


def test_a_flag_turns_features_on_and_off():
    flags, shared = _flags()
    assert flags.take_snapshot(flags_of(1, _document(**{"new-dial": _switch("on")})))
    assert flags.enabled("new-dial")
    assert flags.take_snapshot(flags_of(2, _document(gauge=_switch("off"))))
    assert not flags.enabled("gauge")
    assert not flags.enabled("new-dial")
    assert _notes(shared) == [
        NoteKind.FLAGS_TAKEN,
        NoteKind.FEATURE_ON,
        NoteKind.FLAGS_TAKEN,
        NoteKind.FEATURE_OFF,
        NoteKind.FEATURE_OFF,
    ]


def test_a_kill_beats_a_flag_until_a_newer_list_revives():
    flags, _ = _flags()
    flags.take_snapshot(flags_of(1, _document(gauge=_switch("on"))))
    assert flags.take_kill_list(kill_of(1, "gauge"))
    assert not flags.enabled("gauge")
    flags.take_snapshot(flags_of(2, _document(gauge=_switch("on"))))
    assert not flags.enabled("gauge")
    assert flags.take_kill_list(kill_of(2))
    assert flags.enabled("gauge")


def test_versions_never_go_back_and_equal_ones_pass_by_in_silence():
    flags, shared = _flags()
    flags.take_kill_list(kill_of(5, "gauge"))
    flags.take_snapshot(flags_of(5, _document()))
    shared.out.clear()
    assert not flags.take_kill_list(kill_of(4))
    assert not flags.take_snapshot(flags_of(4, _document(gauge=_switch("on"))))
    assert _notes(shared) == [NoteKind.KILL_OLD, NoteKind.FLAGS_OLD]
    shared.out.clear()
    assert not flags.take_kill_list(kill_of(5))
    assert not flags.take_snapshot(flags_of(5, _document()))
    assert not shared.out
    assert (flags.kill_version, flags.rev, flags.killed) == (5, 5, ("gauge",))


def test_an_old_list_played_again_is_not_the_list_of_this_moment():
    flags, _ = _flags()
    flags.take_kill_list(kill_of(5, "gauge"))
    assert flags.kill_list_current
    flags.take_kill_list(kill_of(4))
    assert not flags.kill_list_current
    flags.take_kill_list(kill_of(5))
    assert flags.kill_list_current


def test_nothing_is_believed_before_its_signature():
    flags, _ = _flags()
    stranger = SIGNERS[ROLE_DIRECTOR].seal(codec.encode(KillList(version=9, features=("gauge",))))
    with pytest.raises(BadSignature):
        flags.take_kill_list(stranger)
    with pytest.raises(ProtocolError):
        flags.take_snapshot(kill_of(9))
    assert flags.enabled("gauge")


@pytest.mark.parametrize("fields", [{"segment": "others"}, {"bucketing": "murmur-2"}])
def test_another_segment_or_bucketing_is_ignored(fields):
    flags, shared = _flags()
    assert not flags.take_snapshot(flags_of(1, _document(gauge=_switch("off")), **fields))
    assert flags.enabled("gauge")
    assert _notes(shared) == [NoteKind.FLAGS_NOT_OURS]


@pytest.mark.parametrize("document", [b"", b"\xff", b"[]", b'{"flags": 3}', b'{"flags":{"x":1}}'])
def test_a_document_that_is_none_changes_nothing(document):
    flags, _ = _flags()
    with pytest.raises(BadMessage, match="expected a flagd document"):
        flags.take_snapshot(flags_of(1, document))
    assert (flags.rev, flags.document) == (0, b"")


@pytest.mark.parametrize(
    "flag",
    [
        _switch("word"),
        _switch("gone"),
        _switch("off", "DISABLED"),
        _switch("off", targeting={"nonsense": []}),
        _switch(None),
    ],
)
def test_a_flag_that_cannot_be_evaluated_leaves_the_default(flag):
    flags, _ = _flags()
    flags.take_snapshot(flags_of(1, _document(gauge=flag, **{"new-dial": flag})))
    assert flags.enabled("gauge")
    assert not flags.enabled("new-dial")


def test_a_percentage_is_sticky_and_only_adds_devices():
    devices = [f"kiosk-{number}" for number in range(300)]

    def share(percent):
        chosen = set()
        for device in devices:
            flags, _ = _flags(device=device)
            flags.take_snapshot(flags_of(1, _document(**{"new-dial": _percent(percent)})))
            if flags.enabled("new-dial"):
                chosen.add(device)
        return chosen

    tenth, quarter = share(10), share(25)
    assert 15 < len(tenth) < 50
    assert tenth < quarter
    assert 50 < len(quarter) < 105
    assert share(25) == quarter


def test_both_survive_a_boot():
    document = _document(**{"new-dial": _switch("on")})
    flags, _ = _flags(State(kill_version=3, killed=("gauge",), flags_rev=2, flags=document))
    assert (flags.enabled("gauge"), flags.enabled("new-dial")) == (False, True)
    assert (flags.rev, flags.kill_version, flags.document) == (2, 3, document)


def test_a_stored_document_that_this_version_cannot_read_leaves_the_defaults():
    flags, _ = _flags(State(flags_rev=2, flags=b"not flagd"))
    assert flags.enabled("gauge")
    assert not flags.enabled("new-dial")


def _policy(value):
    return json.dumps(
        {"flags": {"policy": {"state": "ENABLED", "variants": {"v": value}, "defaultVariant": "v"}}}
    ).encode()


def test_a_policy_comes_with_the_flags_and_goes_with_them():
    flags, shared = _flags()
    assert flags.policy is None
    flags.take_snapshot(flags_of(1, _policy({"rules": [{"name": "normal"}]})))
    assert flags.policy.rules[0].name == "normal"
    again = Flags(shared, State(flags_rev=1, flags=flags.document))
    assert again.policy is flags.policy, "forgotten over a power cut, or read twice"
    flags.take_snapshot(flags_of(2, _policy({})))
    assert flags.policy is None
    flags.take_snapshot(flags_of(3, b'{"flags":{}}'))
    assert flags.policy is None


def test_a_policy_is_found_however_json_spells_its_name():
    spelt = _policy({"rules": [{"name": "normal"}]}).replace(b'"policy"', rb'"pol\u0069cy"')
    assert b'"policy"' not in spelt
    flags, _ = _flags()
    flags.take_snapshot(flags_of(1, spelt))
    assert flags.policy.rules[0].name == "normal"


@pytest.mark.parametrize("value", [{"rules": []}, {"rule": 1}, {"rules": [{"name": "A"}]}])
def test_a_policy_that_is_none_is_no_policy_and_is_noted(value):
    flags, shared = _flags()
    flags.take_snapshot(flags_of(1, _policy({"rules": [{"name": "normal"}]})))
    flags.take_snapshot(flags_of(2, _policy(value)))
    assert flags.policy is None
    assert NoteKind.POLICY_BAD in [note.kind for note in shared.out]


def test_a_feature_that_nobody_configured_can_be_asked_for():
    flags, _ = _flags()
    assert not flags.on("offload")
    flags.take_snapshot(flags_of(1, _document(offload=_switch("on"))))
    assert flags.on("offload")
    flags.take_kill_list(kill_of(1, "offload"))
    assert not flags.on("offload")
