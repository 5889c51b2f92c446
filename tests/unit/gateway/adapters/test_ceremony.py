"""Key ceremonies on files: what each step changes, and what it refuses."""

import json
import stat

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key

from devicesdk.bundle.roles import listed, show
from devicesdk.bundle.trusted_set import Anchor
from gateway.adapters import ceremony
from gateway.adapters.ceremony import Dates, Shares
from gateway.adapters.keys import KeyFileError, init_keys
from tests_kit.agent_bundles import Bundle
from tests_kit.role_rig import DAY_MS, NOW_MS, YEAR_MS

WORD = "a long passphrase"
DATES = Dates(NOW_MS, NOW_MS + YEAR_MS)
SHARES = {"root": Shares(3, 2), "targets": Shares(2, 2)}
NEW = Bundle(2, 1000)


@pytest.fixture
def folder(tmp_path):
    init_keys(tmp_path / "k")
    ceremony.begin(tmp_path / "k", SHARES, WORD, DATES)
    return tmp_path / "k"


def root_of(folder, number=None):
    name = "root.json" if number is None else f"{number}.root.json"
    return ceremony.read(folder / "roles" / name)


def offline(folder, *names):
    return [folder / "offline" / f"{name}.pem" for name in names]


def sign(folder, file, *names):
    return ceremony.sign(folder / "roles" / file, offline(folder, *names), WORD, folder)


def test_the_first_root_is_one_that_devices_take(folder):
    anchor = Anchor(root_of(folder))
    roles = ceremony.online_roles(folder)
    targets = ceremony.read(folder / "roles" / "targets.json")
    snapshot = roles.snapshot(1, targets, NOW_MS, NOW_MS + DAY_MS)
    stamp = roles.timestamp(1, snapshot, NOW_MS, NOW_MS + DAY_MS)
    chain = anchor.born.with_timestamp(stamp).with_snapshot(snapshot).with_targets(targets)
    assert chain.missing() is None
    assert sorted(chain.keys) == ["director", "flags"]


def test_private_keys_are_encrypted_and_their_owners_alone(folder):
    for file in [*folder.glob("*.key"), *(folder / "offline").iterdir()]:
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    assert stat.S_IMODE((folder / "offline").stat().st_mode) == 0o700
    for file in (folder / "offline").iterdir():
        assert b"ENCRYPTED" in file.read_bytes()


def test_a_rotation_is_a_draft_until_old_and_new_have_signed(folder):
    before = Anchor(root_of(folder)).born
    files = ceremony.rotate(folder, ["root", "director", "timestamp"], WORD, DATES)
    assert [file.name for file in files] == [
        "2.root.json", "root-4.pem", "root-5.pem", "root-6.pem", "director.key", "timestamp.key",
    ]  # fmt: skip
    assert (folder / "director.until-root-1.key").exists()
    assert (folder / "timestamp.until-root-1.key").exists()
    for names in (["root-1"], ["root-4"], ["root-2"]):
        shown = sign(folder, "2.root.json", *names)
        assert ceremony.missing(shown, folder)
        assert show(root_of(folder)).version == 1
    shown = sign(folder, "2.root.json", "root-6")
    assert not ceremony.missing(shown, folder)
    after = before.with_root(root_of(folder))
    assert after.version == 2
    assert after.keys["director"] != before.keys["director"]
    assert after.keys["flags"] == before.keys["flags"]


def test_a_root_may_only_live_longer(folder):
    (draft,) = ceremony.rotate(folder, [], "", Dates(NOW_MS + DAY_MS, NOW_MS + 9 * YEAR_MS))
    sign(folder, draft.name, "root-2", "root-3")
    assert show(root_of(folder)).expires_ms == NOW_MS + 9 * YEAR_MS
    assert root_of(folder, 1) != root_of(folder, 2) == root_of(folder)


def test_targets_go_on_from_those_before(folder):
    entry = listed(NEW.manifest, NEW.envelope)
    ceremony.release(folder, [entry], [], {"gauge": 1}, DATES)
    assert ceremony.missing(sign(folder, "targets.json", "targets-1"), folder) == 1
    shown = sign(folder, "targets.json", "targets-2")
    assert ceremony.missing(shown, folder) == 0
    assert (shown.version, shown.listed, shown.floors) == (2, (entry,), {"gauge": 1})
    file = ceremony.release(folder, [], [entry.path], {"gauge": 3}, DATES)
    dropped = show(ceremony.read(file))
    assert (dropped.version, dropped.listed, dropped.floors) == (3, (), {"gauge": 3})
    assert dropped.signers == ()


def test_new_targets_keys_sign_the_next_targets(folder):
    ceremony.rotate(folder, ["targets"], WORD, DATES)
    sign(folder, "2.root.json", "root-1", "root-2")
    ceremony.release(folder, [], [], {}, DATES)
    with pytest.raises(KeyFileError, match="asks for"):
        sign(folder, "targets.json", "targets-1")
    assert not ceremony.missing(sign(folder, "targets.json", "targets-3", "targets-4"), folder)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_key_that_others_may_read_is_refused(folder, mode):
    (file,) = offline(folder, "root-1")
    file.chmod(mode)
    with pytest.raises(KeyFileError, match="only its owner"):
        ceremony.read_offline(file, WORD)
    online = folder / "timestamp.key"
    online.chmod(mode)
    with pytest.raises(KeyFileError, match="only its owner"):
        ceremony.online_roles(folder)


def test_what_is_no_key_is_told_so(folder, tmp_path):
    (file,) = offline(folder, "root-1")
    with pytest.raises(KeyFileError, match="passphrase"):
        ceremony.read_offline(file, "another passphrase")
    other = tmp_path / "other.pem"
    other.touch(0o600)
    with pytest.raises(KeyFileError, match="passphrase"):
        ceremony.read_offline(other, WORD)
    other.write_bytes(
        generate_private_key(SECP256R1()).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(WORD.encode()),
        )
    )
    with pytest.raises(KeyFileError, match="Ed25519"):
        ceremony.read_offline(other, WORD)
    with pytest.raises(KeyFileError, match="at least 12"):
        ceremony.new_offline(tmp_path, "root", 9, "short")


def test_nothing_is_begun_twice_and_no_draft_overwritten(folder):
    with pytest.raises(KeyFileError, match="keys rotate"):
        ceremony.begin(folder, SHARES, WORD, DATES)
    ceremony.rotate(folder, [], "", DATES)
    with pytest.raises(KeyFileError, match="sign it first"):
        ceremony.rotate(folder, [], "", DATES)


def test_a_gateway_without_such_keys_has_no_roles(tmp_path):
    init_keys(tmp_path / "k")
    assert ceremony.online_roles(tmp_path / "k") is None


def test_one_of_the_two_online_keys_is_not_enough(folder):
    (folder / "snapshot.key").unlink()
    with pytest.raises(KeyFileError, match="no such file"):
        ceremony.online_roles(folder)
    (folder / "snapshot.key").touch(0o600)
    with pytest.raises(KeyFileError, match="hex digits"):
        ceremony.online_roles(folder)


def test_metadata_files_are_bounded(folder):
    (folder / "roles" / "root.json").write_bytes(bytes(2_000_000))
    with pytest.raises(KeyFileError, match="at most"):
        root_of(folder)


def _forged(data, signature, *files):
    """The metadata with a signature in each key's name that the key never made."""
    said = json.loads(data)
    held = {one["keyid"] for one in said["signatures"]}
    ids = [ceremony.read_offline(file, WORD).id for file in files]
    said["signatures"] += [{"keyid": one, "sig": signature} for one in ids if one not in held]
    return json.dumps(said).encode()


@pytest.mark.parametrize("signature", ["00" * 64, "00", "", "no hex"])
def test_a_signature_that_the_key_never_made_does_not_count(folder, signature):
    (draft,) = ceremony.rotate(folder, [], "", DATES)
    draft.write_bytes(
        _forged(ceremony.read(draft), signature, *offline(folder, "root-1", "root-2"))
    )
    assert ceremony.missing(show(ceremony.read(draft)), folder) == 2
    assert ceremony.missing(sign(folder, draft.name, "root-1"), folder) == 1
    assert show(root_of(folder)).version == 1, "a root that one key signed is the newest"


def test_what_is_changed_after_it_was_signed_is_signed_by_nobody(folder):
    ceremony.release(folder, [listed(NEW.manifest, NEW.envelope)], [], {}, DATES)
    sign(folder, "targets.json", "targets-1")
    file = folder / "roles" / "targets.json"
    said = json.loads(file.read_bytes())
    said["signed"]["targets"] = {}
    file.write_text(json.dumps(said))
    assert ceremony.missing(sign(folder, "targets.json", "targets-2"), folder) == 1


def test_signing_an_older_root_again_does_not_bring_it_back(folder):
    (draft,) = ceremony.rotate(folder, [], "", DATES)
    sign(folder, draft.name, "root-1", "root-2")
    assert show(root_of(folder)).version == 2
    sign(folder, "1.root.json", "root-3")
    assert show(root_of(folder)).version == 2, "the newest root went back to 1"


def test_a_root_whose_predecessor_is_not_there_is_not_called_complete(folder, tmp_path):
    (draft,) = ceremony.rotate(folder, [], "", DATES)
    apart = tmp_path / "apart" / "roles"
    apart.mkdir(parents=True)
    (apart / draft.name).write_bytes(draft.read_bytes())
    with pytest.raises(KeyFileError, match=r"1\.root\.json"):
        ceremony.sign(apart / draft.name, offline(folder, "root-1"), WORD, apart.parent)
    assert not (apart / "root.json").exists()


def test_a_draft_that_is_given_up_costs_no_key_that_is_in_force(folder):
    in_force = (folder / "timestamp.key").read_bytes()
    draft, _ = ceremony.rotate(folder, ["timestamp"], "", DATES)
    draft.unlink()
    ceremony.rotate(folder, ["timestamp"], "", DATES)
    kept = [file.read_bytes() for file in folder.glob("timestamp.*.key")]
    assert in_force in kept, "the key that the newest root names is gone"
    assert len(set(kept)) == 2, "the key of the draft is gone too"
    assert (folder / "timestamp.until-root-1.key").read_bytes() == in_force


def test_a_rotation_that_cannot_be_changes_nothing(folder):
    before = sorted(file.read_bytes() for file in folder.rglob("*") if file.is_file())
    with pytest.raises(KeyFileError, match="at least 12"):
        ceremony.rotate(folder, ["timestamp", "root"], "short", DATES)
    assert sorted(f.read_bytes() for f in folder.rglob("*") if f.is_file()) == before


def test_keys_that_were_taken_away_keep_their_numbers(folder):
    for file in offline(folder, "root-1", "root-2", "root-3"):
        file.unlink()
    _, *made = ceremony.rotate(folder, ["root"], WORD, DATES)
    assert [file.name for file in made] == ["root-4.pem", "root-5.pem", "root-6.pem"]


def test_a_clock_that_went_back_is_told_before_anything_is_made(folder):
    early = Dates(NOW_MS - DAY_MS, NOW_MS + YEAR_MS)
    before = sorted(folder.rglob("*"))
    with pytest.raises(KeyFileError, match="clock"):
        ceremony.rotate(folder, ["timestamp"], WORD, early)
    with pytest.raises(KeyFileError, match="clock"):
        ceremony.release(folder, [], [], {}, early)
    assert sorted(folder.rglob("*")) == before
