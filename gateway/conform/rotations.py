"""What a device that goes by roles has to keep beside the rest: roots, rotations, listings.

Decides what is said in which order and what follows. Leaves out making the metadata (repository.py) and the updates
that devices with plain keys get, too (updates.py). That a root is *not* followed is seen by a kill list that only its key
signs: it must change nothing.
"""

from __future__ import annotations

from devicesdk.bundle.trust import ROLE_DIRECTOR, ROLE_FLAGS
from devicesdk.wire import topics
from devicesdk.wire.messages import UpdateState
from gateway.conform import chapters
from gateway.conform.repository import Repository
from gateway.conform.stage import Stage
from gateway.conform.updates import Updates


async def roots(stage: Stage, repository: Repository, patience_s: float) -> None:
    """A root that must not be followed, one that must, and what the keys of the old one are then worth."""
    await _forged(stage, repository, patience_s)
    old = stage.keys
    repository.rotate()
    stage.trusts(repository)
    version = chapters.kills_of(stage) + 1
    envelope = stage.keys.flags.seal(stage.kill_list(version))
    stage.say(topics.KILL, envelope, retain=True)
    followed = await stage.until(lambda: chapters.kills_of(stage) == version, patience_s)
    story = f"version {version}, signed by a key of the newer root, was published; {chapters.kills_of(stage)} is reported"
    stage.ledger.settle("A1", story, envelope, ok=followed)
    if not followed:
        stage.ledger.skipped("the newer root was not followed", "A3", "A4")
        return
    late = old.flags.seal(stage.kill_list(version + 5))
    stage.say(topics.KILL, late)
    if await stage.report(patience_s):
        ok = chapters.kills_of(stage) == version
        stage.ledger.settle("A3", "a kill list of the revoked key was taken in", late, ok=ok)
    await _revoked_director(stage, repository, patience_s)


async def _forged(stage: Stage, repository: Repository, patience_s: float) -> None:
    forged = repository.forged_root()
    stage.trusts(repository, forged)
    before = chapters.kills_of(stage)
    signer = repository.signer(ROLE_FLAGS, len(repository.roots) + 1)
    envelope = signer.seal(stage.kill_list(before + 5))
    stage.say(topics.KILL, envelope)
    fetched = await stage.until(lambda: stage.desk.served(forged), patience_s)
    await stage.quiet(chapters.SETTLE_S)
    if await stage.report(patience_s):
        ok = chapters.kills_of(stage) == before
        story = "a kill list was taken in whose key only a root below its threshold names"
        if fetched or not ok:
            stage.ledger.settle("A2", story, envelope, ok=ok)
        else:
            stage.ledger.skipped("the device did not fetch the newer root", "A2")


async def _revoked_director(stage: Stage, repository: Repository, patience_s: float) -> None:
    known = stage.watch.generation
    signer = repository.signer(ROLE_DIRECTOR, len(repository.roots) - 1)
    fields = {"deployment": "conform-late", "manifest": bytes(32), "manifest_bytes": 500}
    envelope = stage.want(signer, generation=known + 3, **fields)
    stage.say(topics.WANT, envelope)
    if await stage.report(patience_s):
        ok = stage.watch.generation == known
        stage.ledger.settle("A3", "a want of the revoked key was taken in", envelope, ok=ok)


async def unlisted(
    stage: Stage, repository: Repository, updates: Updates, patience_s: float
) -> None:
    """A want for what targets do not list, until they do."""
    repository.release()
    stage.trusts(repository)
    parcel = updates.parcel()
    generation = await updates.want(parcel, unlisted=True)
    waits = await stage.until(
        lambda: stage.watch.in_state(generation, UpdateState.WAITING) is not None, patience_s
    )
    await stage.report(patience_s)
    fetched = len([shelf for shelf in stage.desk.shelves.values() if shelf.sent])
    story = f"it {'waits' if waits else 'does not wait'} and fetched {fetched} blobs"
    stage.ledger.settle("A4", story, parcel.manifest.data, ok=waits and not fetched)
    repository.release(parcel)
    stage.trusts(repository)
    end = await updates.end(generation)
    ok = end is not None and end.have.state is UpdateState.COMMITTED
    said = "nothing final" if end is None else f"{end.have.state.name} {end.have.reason}"
    stage.ledger.settle("A4", f"when it was listed it did not go on: {said}", ok=ok)
