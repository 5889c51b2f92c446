"""Devices that were away for long, whose clock is wrong, or whose power goes: they still update.

And they do so by roots that have expired long ago, one after the other.
"""

from hashlib import sha256

import pytest

from devicesdk.wire import limits
from devicesdk.wire.messages import UpdateState
from devicesdk.wire.timebase import MINUTE
from tests_kit.agent_bundles import Bundle
from tests_kit.role_rig import DAY_MS, NOW_MS, YEAR_MS, Repository, RoleRig, key

OLD, NEW = Bundle(1, 40_000), Bundle(2, 40_000)
IN_1970 = 3_600_000
IN_2038 = 2_147_483_647_000
MONTH_MS = 30 * DAY_MS


def aged(repository, rotations, every_ms, lives_ms):
    """All keys of everything are replaced, again and again."""
    for n in range(rotations):
        repository.now_ms += every_ms
        keys = repository.keys
        keys.root = [key(1000 + 3 * n), key(1001 + 3 * n), key(1002 + 3 * n)]
        keys.targets = [key(5000 + n), key(6000 + n)]
        keys.snapshot, keys.timestamp = key(7000 + n), key(8000 + n)
        repository.rotate(lives_ms=lives_ms)
    repository.release(OLD, NEW)
    return repository


@pytest.mark.parametrize("wall", ["right", "none", "1970", "2038"])
def test_a_year_of_monthly_rotations_is_caught_up_with(wall):
    repository = Repository(OLD, NEW)
    rig = RoleRig(repository, OLD, NEW, factory=OLD).start()
    rig.disconnect()
    aged(repository, 12, MONTH_MS, MONTH_MS)
    rig.wall_ms = {"right": repository.now_ms, "none": None, "1970": IN_1970, "2038": IN_2038}[wall]
    rig.boot()
    rig.tell()
    rig.want(NEW)
    rig.run(lambda: rig.notes["root_taken"] == 12)
    if wall == "2038":
        rig.run(lambda: rig.reported().nonce)
        assert rig.reported().reason == "trust:clock"
        rig.answer_time(NEW, repository.now_ms)
    assert rig.settles(NEW), rig.reported()


def test_256_rotations_are_caught_up_with_and_257_are_not():
    repository = Repository(OLD, NEW)
    rig = RoleRig(repository, OLD, NEW, factory=OLD).start()
    aged(repository, 256, DAY_MS, DAY_MS)
    rig.wall_ms = None
    rig.boot()
    rig.tell()
    rig.want(NEW)
    rig.run(lambda: rig.notes["root_taken"] == 256, steps_max=100_000)
    assert rig.settles(NEW), rig.reported()

    late = Repository(OLD, NEW)
    rig = RoleRig(late, OLD, NEW, factory=OLD).start()
    aged(late, 257, DAY_MS, DAY_MS)
    rig.tell()
    rig.want(NEW)
    rig.run_for(10 * MINUTE)
    assert rig.notes["root_taken"] == 0, "no hint leads there: it has to be enrolled again"
    assert rig.reported().state is UpdateState.WAITING


@pytest.mark.parametrize("wall_ms", [None, 0, IN_1970, IN_2038, 2**52])
def test_a_wrong_clock_costs_a_question_at_most(wall_ms):
    rig = RoleRig(Repository(OLD, NEW), OLD, NEW, factory=OLD, wall_ms=wall_ms).start()
    rig.want(NEW, expires_ms=NOW_MS + DAY_MS)
    rig.run_for(MINUTE)
    ahead = wall_ms is not None and wall_ms > NOW_MS
    assert bool(rig.reported().nonce) is ahead
    if ahead:
        assert not rig.committed(NEW)
        rig.want(NEW, expires_ms=NOW_MS + DAY_MS, nonce=rig.reported().nonce, issued_ms=NOW_MS)
    assert rig.settles(NEW), rig.reported()


def test_a_want_that_has_expired_by_proved_time_is_canceled():
    rig = RoleRig(Repository(OLD, NEW), OLD, NEW, factory=OLD, wall_ms=IN_2038).start()
    rig.want(NEW, expires_ms=NOW_MS + DAY_MS)
    rig.run_for(MINUTE)
    said = {"expires_ms": NOW_MS + DAY_MS, "nonce": rig.reported().nonce}
    rig.want(NEW, issued_ms=NOW_MS + 2 * DAY_MS, **said)
    rig.run_for(MINUTE)
    assert (rig.reported().state, rig.reported().reason) == (UpdateState.CANCELED, "expired")


def test_an_expired_root_waits_for_the_next_and_goes_on():
    repository = Repository(OLD, NEW)
    rig = RoleRig(repository, OLD, NEW, factory=OLD, wall_ms=None).start()
    repository.now_ms += 2 * YEAR_MS
    repository.release(OLD, NEW)
    rig.tell()
    rig.want(NEW)
    rig.run_for(10 * MINUTE)
    assert rig.reported().reason == "trust:expired"
    repository.rotate()
    rig.tell()
    assert rig.settles(NEW), rig.reported()


def test_roles_too_large_to_ride_are_fetched_and_do_not_disturb_an_image():
    """Targets of hundreds of bundles come while an image is half here: it goes on where it stopped."""
    many = [Bundle(n, 600) for n in range(3, 430)]
    big = Bundle(2, 900_000)
    repository = Repository(OLD, big)
    rig = RoleRig(repository, OLD, big, factory=OLD).start()
    rig.want(big)
    image = sha256(big.image).digest()
    rig.run(lambda: sum(name == image[:8] for name, _ in rig.chunks) >= 20)
    repository.release(OLD, big, *many)
    assert len(repository.targets) > limits.REFETCH_AFTER_POWER_CUT_BYTES_MAX
    rig.tell()
    assert rig.settles(big), rig.reported()
    assert rig.fetched(sha256(repository.targets).digest())
    again = [count for (name, _), count in rig.chunks.items() if name == image[:8] and count > 1]
    assert len(again) <= 16, "more was fetched again than the two rounds that were under way"


@pytest.mark.parametrize("tear", ["none", "half", "all", "late"])
@pytest.mark.parametrize("fuse", range(0, 60, 3))
def test_power_may_go_at_any_effect(fuse, tear):
    """Between two roots, between timestamp and manifest, in the trial: nothing of it is stuck."""
    repository = Repository(OLD, NEW)
    rig = RoleRig(repository, OLD, NEW, factory=OLD).start()
    aged(repository, 2, MONTH_MS, MONTH_MS)
    rig.tell(riding=False)
    rig.want(NEW)
    rig.fuse = fuse
    rig.run(lambda: rig.committed(NEW), tear=tear)
    assert rig.notes["root_taken"] in (2, 3, 4)


def test_a_trust_file_that_cannot_be_read_is_begun_anew():
    repository = aged(Repository(OLD, NEW), 3, MONTH_MS, MONTH_MS)
    rig = RoleRig(repository, OLD, NEW, factory=OLD, wall_ms=None).start()
    rig.run(lambda: rig.notes["root_taken"] == 3)
    for broken in (b"", b"x", rig.disk.read("trust")[:-1], rig.disk.read("trust")[::-1]):
        rig.disk.save("trust", broken)
        rig.boot()
        rig.run(lambda n=rig.notes["root_taken"]: rig.notes["root_taken"] == n + 3)
    rig.want(NEW)
    assert rig.settles(NEW)
