"""What may hold an update back, in the order in which it is told."""

from __future__ import annotations

import pytest

from devicesdk.agent.job import Job, blocked_by
from devicesdk.agent.stimuli import Conditions
from devicesdk.wire.messages import UpdatePolicy, Want
from devicesdk.wire.timebase import NEVER

POLICY = UpdatePolicy(battery_percent_min=20, chip_c_max=60, plugged=True)
BAD = Conditions(battery_percent=10, plugged=False, chip_c=70)


def _job(hold=False, policy=POLICY, start_at=5):
    want = Want(
        device="d",
        generation=1,
        deployment="r",
        manifest=bytes(32),
        manifest_bytes=9,
        hold=hold,
        policy=policy,
    )
    return Job(want, start_at)


@pytest.mark.parametrize(
    ("job", "conditions", "now", "word"),
    [
        (_job(hold=True), BAD, 0, "hold"),
        (_job(), BAD, 4, "jitter"),
        (_job(), BAD, 5, "power"),
        (_job(), Conditions(battery_percent=10, chip_c=70), 5, "battery"),
        (_job(), Conditions(chip_c=70), 5, "heat"),
        (_job(), Conditions(chip_c=60, battery_percent=20), 5, ""),
        (_job(policy=UpdatePolicy()), Conditions(0, plugged=False, chip_c=150), 5, ""),
    ],
)
def test_the_first_word_that_holds_it_back(job, conditions, now, word):
    assert blocked_by(job, conditions, now) == word


def test_a_job_begins_with_nothing_known():
    job = _job()
    assert (job.manifest_file, job.hashes_file, job.variant, job.hashes) == (None,) * 4
    assert (job.checked, job.kit_passed, job.told, job.wake_at) == (False, False, False, NEVER)
