"""Which blobs nothing names: rows of every kind, and what their envelopes name."""

from __future__ import annotations

import os

import msgspec
import pytest

from devicesdk.wire.messages import DeltaRef
from gateway.adapters.backup import blob_files
from gateway.adapters.blobs import FileBlobs
from gateway.adapters.unnamed import UnnamedError, remove, unnamed
from gateway.core import rows
from gateway.core.access.approvals import APPROVAL, ApprovalRow
from gateway.core.rehearsals.book import REHEARSAL, RehearsalRow
from gateway.runtime.permissions import arguments_of
from gateway.runtime.verbs import PublishBundle
from tests_kit.agent_bundles import Bundle
from tests_kit.keeping import State

DAY_S = 24 * 3600


@pytest.fixture
def state(tmp_path):
    made = State(tmp_path / "state")
    yield made
    made.storage.close()


def put(state, *rows_of):
    for table, key, row in rows_of:
        state.storage.put(table, key, row)
    state.storage.commit()


def left(state):
    return {path.name for path in unnamed(state.storage, state.blobs)}


def test_what_a_row_names_stays_and_what_none_names_is_told(state):
    wanted, *others = (digest.hex() for digest in state.digests)
    assert left(state) == set(others), "a want names the first"
    for number, blob in enumerate((state.digests[1], state.digests[2])):
        ref = DeltaRef(encoder=1, target=b"t" * 32, blob=blob, size_bytes=9)
        put(state, (rows.DELTA, f"{number}", rows.DeltaRow(ref)))
    assert left(state) == set()
    assert wanted not in left(state)


def test_the_blobs_of_a_bundle_of_one_that_waits_for_approval_and_of_roles_are_named(state):
    store, bundle, waiting = FileBlobs(state.blobs), Bundle(1, 5_000), Bundle(2, 6_000)
    for one in (bundle, waiting):
        for blob, _ in one.blobs.values():
            store.put(blob)
    role, stray = store.put(b"signed metadata"), store.put(b"stray")
    rehearsed = store.put(b"rehearsed")
    verb = arguments_of(PublishBundle(digest=waiting.digest.hex()))
    put(
        state,
        (rows.BUNDLE, bundle.digest.hex(), rows.BundleRow(bundle.manifest, len(bundle.envelope))),
        (rows.ROLE, "root/1", rows.RoleRow(b"signed metadata")),
        (APPROVAL, "000000000001", ApprovalRow(1, verb, "ana", "admin", 1)),
        (REHEARSAL, "000000000001", RehearsalRow(1, "ana", 1, "r", "b", b"{}", b"p" * 32, rehearsed, (1,), 1)),
    )  # fmt: skip
    names = left(state) - {digest.hex() for digest in state.digests}
    assert names == {stray.hex()}, {name[:8] for name in names}
    assert role.hex() not in names


def test_a_row_of_any_kind_names_its_blobs_however_deep(state):
    """A table that is added later is not forgotten: whatever looks like a digest is one."""
    told = msgspec.json.encode({"why": [f"see {state.digests[1].hex()}, then"]})
    ref = DeltaRef(encoder=1, target=state.digests[2], blob=b"b" * 32, size_bytes=9)
    put(
        state,
        (rows.DELTA, "x", rows.DeltaRow(ref)),
        (rows.OUTBOX, "t", rows.OutboxRow("want", told)),
    )
    assert left(state) == set()


def test_only_old_ones_go(state):
    files = unnamed(state.storage, state.blobs)
    os.utime(files[0], (1_000_000, 1_000_000))
    size = files[0].stat().st_size
    assert remove(files, 1_000_000) == (0, 0)
    assert remove(files, 1_000_000 + DAY_S) == (1, size)
    assert [path.exists() for path in files] == [False, True]


def test_another_gateways_database_removes_nothing(state, tmp_path):
    other = State(tmp_path / "other", devices=0)
    try:
        with pytest.raises(UnnamedError, match="names some of the 3 blobs"):
            unnamed(other.storage, state.blobs)
    finally:
        other.storage.close()
    assert len(list(blob_files(state.blobs))) == 3


def test_a_folder_without_blobs_has_none_that_is_unnamed(state, tmp_path):
    (tmp_path / "none").mkdir()
    assert unnamed(state.storage, tmp_path / "none") == []
