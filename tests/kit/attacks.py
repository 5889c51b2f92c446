"""What attacks on a whole agent share: a rig that trusts by roles, and what must be refused or taken."""

from hashlib import sha256

from devicesdk.bundle.roles import (
    make_snapshot,
    make_timestamp,
    signed_by,
)
from devicesdk.bundle.trust import ROLE_DIRECTOR, Ed25519Signer
from devicesdk.wire.timebase import MINUTE
from tests_kit.agent_bundles import Bundle
from tests_kit.role_rig import NOW_MS, YEAR_MS, Repository, RoleRig

OLD, NEW, EVIL = Bundle(1, 40_000), Bundle(2, 40_000), Bundle(3, 40_000)
STRANGER = Ed25519Signer(ROLE_DIRECTOR, bytes([99]) * 32)
SEEDS = range(24)


def rig_of(*bundles, factory=OLD, **more):
    repository = Repository(*(bundles or (OLD, NEW)))
    return RoleRig(repository, OLD, NEW, EVIL, factory=factory, **more).start()


def refuses(rig, bundle, for_ns=10 * MINUTE):
    """The device never runs it, whatever else it does for a while."""
    rig.run_for(for_ns)
    found = [manifest for _, manifest in rig.runs if manifest == bundle.digest]
    assert not found, f"activated what it should refuse; last report {rig.reported()}"
    return rig


def accepts(rig, bundle=NEW, **fields):
    """By the same way, the honest article goes in."""
    rig.tell()
    rig.want(bundle, **fields)
    assert rig.settles(bundle, 3 * 3600), f"last report {rig.reported()}, notes {rig.notes}"


def flipped(data: bytes, seed: int) -> bytes:
    """One byte of it is another one."""
    place = int.from_bytes(sha256(b"%d" % seed).digest()[:4], "big") % len(data)
    return data[:place] + bytes([data[place] ^ (1 + seed % 255)]) + data[place + 1 :]


def forged_head(
    repository, targets, *, snapshot_key=None, timestamp_key=None, stamped=None, **more
):
    """A head for these targets, with online roles signed by whoever."""
    lives = NOW_MS + YEAR_MS
    snapshot = signed_by(
        make_snapshot(90, targets, NOW_MS, lives), snapshot_key or repository.keys.snapshot
    )
    stamp = signed_by(
        make_timestamp(stamped or 90, snapshot, NOW_MS, lives),
        timestamp_key or repository.keys.timestamp,
    )
    return repository.head(timestamp=stamp, snapshot=snapshot, targets=targets, **more)
