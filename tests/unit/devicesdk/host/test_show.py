import json

import pytest

from devicesdk.agent.snapshot import Bad, DebugMode, Slot, State, Status, Trial, encode_state
from devicesdk.host.show import NoDeviceError, in_words, installed
from devicesdk.wire.messages import UpdateState

SLOT = Slot(manifest=b"\xab" * 32, variant="int8", image=b"\1" * 32, size_bytes=99, verified=True)


def test_everything_that_matters_is_said_to_programs_and_to_people(tmp_path):
    state = State(
        committed="a",
        a=SLOT,
        b=SLOT,
        trial=Trial(slot="b", generation=7, deployment="r7", attempt=0, trial_ms=1),
        status=Status(state=UpdateState.TRIAL, generation=7),
        bad=(Bad(b"\2" * 32, 1, banned=True), Bad(b"\3" * 32, 1)),
        kill_version=4,
        killed=("gauge",),
    )
    (tmp_path / "state").write_bytes(encode_state(state))
    (tmp_path / "boot").write_bytes(b"12")
    known = installed(tmp_path)
    assert json.loads(json.dumps(known)) == known
    assert (known["runs"], known["committed"], known["boot"]) == ("b", "a", 12)
    assert known["quarantine"] == ["02" * 32]
    text = "\n".join(in_words(known))
    for words in (
        "abababababababab int8 99 B  verified runs",
        "trial       r7 in slot b",
        "gauge",
        "TRIAL",
    ):
        assert words in text


def test_debug_mode_is_shown_to_whoever_has_the_device(tmp_path):
    mode = DebugMode(41, 1, 1_700_000_000_000, 900, "ana", "odd readings")
    (tmp_path / "state").write_bytes(encode_state(State(debug=mode)))
    known = installed(tmp_path)
    assert known["debug"] == {
        "grant": 41, "until_ms": 1_700_000_000_000, "rows_left": 900, "by": "ana", "why": "odd readings",
    }  # fmt: skip
    lines = in_words(known)
    assert "DEBUG MODE  until 2023-11-14T22:13:20+00:00, for ana: odd readings" in lines
    (tmp_path / "state").write_bytes(encode_state(State(debug_number=41)))
    known = installed(tmp_path)
    assert known["debug"] is None
    assert not [line for line in in_words(known) if "DEBUG" in line]


def test_an_empty_device_and_a_torn_boot_counter(tmp_path):
    (tmp_path / "state").write_bytes(encode_state(State()))
    (tmp_path / "boot").write_bytes(b"torn")
    lines = in_words(installed(tmp_path))
    assert lines[0] == "boot        unknown"
    assert lines[1] == "slot a      empty"


@pytest.mark.parametrize("torn", [None, b"", b"torn"])
def test_no_device_or_a_torn_one_is_said(tmp_path, torn):
    if torn is not None:
        (tmp_path / "state").write_bytes(torn)
    with pytest.raises(NoDeviceError, match="expected"):
        installed(tmp_path)
