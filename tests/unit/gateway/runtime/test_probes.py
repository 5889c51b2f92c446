"""What a gateway sees of its disk, its certificates, its roles and its log."""

from datetime import UTC, datetime

import pytest

from devicesdk.bundle.roles import make_snapshot, make_targets, make_timestamp
from devicesdk.wire.timebase import DAY, HOUR, MS, SECOND
from gateway.adapters.certificates import Authority
from gateway.core.alarms.rules import AUDIT_BROKEN, EXPIRY
from gateway.core.stimuli import Reading
from gateway.runtime import verbs
from gateway.runtime.patrol import Patrol
from gateway.runtime.probes import (
    Probes,
    broken,
    certificate_reading,
    disk_of,
    role_readings,
)
from tests_kit.alarm_stage import core_with
from tests_kit.audit_logs import AUDITOR
from tests_kit.office_stage import ADMIN, VIEWER, Bureau

NOW = datetime(2026, 5, 1, tzinfo=UTC)
AT = int(NOW.timestamp()) * SECOND


def test_the_disk_of_a_folder(tmp_path):
    (reading,) = disk_of(tmp_path)
    assert reading.subject == str(tmp_path)
    assert 0 <= reading.value <= 100
    assert reading.words.endswith("iB")
    assert disk_of(tmp_path / "nowhere") == []


def test_certificates_by_whole_days(tmp_path):
    Authority.create(tmp_path, NOW)
    file = tmp_path / "ca.crt"
    assert certificate_reading(file, AT).value in (3649, 3650)
    near = certificate_reading(file, AT + 3640 * DAY)
    assert (near.subject, near.value) == (f"Certificate {file}", 10)
    assert near.words == "on 2036-04-28 00:00Z"
    assert certificate_reading(file, AT + 4000 * DAY).value == 0, "it has ended"


def test_a_certificate_that_cannot_be_read_is_as_bad_as_one_that_has_ended(tmp_path):
    (tmp_path / "x.pem").write_text("nothing")
    for file in (tmp_path / "x.pem", tmp_path / "nowhere.pem"):
        reading = certificate_reading(file, AT)
        assert reading.value == 0
        assert "cannot be read" in reading.words


def test_what_is_wrong_with_the_log_is_said_once():
    assert broken([]) == []
    assert broken(["a", "b", "a"]) == [Reading("audit log", 1, "a; b")]


def test_roles_by_whole_days_and_those_that_the_gateway_renews_only_when_it_did_not():
    at_ms = AT // MS
    targets = make_targets(1, (), {}, at_ms, at_ms + 20 * DAY // MS)
    snapshot = make_snapshot(1, targets, at_ms, at_ms + 300 * DAY // MS)
    timestamp = make_timestamp(1, snapshot, at_ms, at_ms + DAY // MS)
    roles = {"targets": targets, "snapshot": snapshot, "timestamp": timestamp, "root/3": b"{"}
    found = {r.subject: r.value for r in role_readings(roles, AT)}
    assert found == {"Role targets": 20, "Role root/3": 0}
    late = {r.subject: r.value for r in role_readings(roles, AT + 13 * HOUR)}
    assert late == {"Role targets": 19, "Role timestamp": 0, "Role root/3": 0}


@pytest.fixture
async def bureau():
    made = Bureau(make=core_with())
    await made.up()
    yield made
    made.runtime.close()


async def test_a_look_tells_the_core(bureau, tmp_path):
    (tmp_path / "x.pem").write_text("nothing")
    patrol = Patrol(bureau.runtime, AUDITOR, 1.0)
    probes = Probes(
        bureau.runtime, tmp_path, (tmp_path / "x.pem",), None, patrol, lambda: ("kept heads differ",),
        lambda: bureau.now_ms,
    )  # fmt: skip
    await bureau.office.do(ADMIN, verbs.Kill(feature="a"))
    await probes.look()
    found = (await bureau.office.do(VIEWER, verbs.ListAlarms(newest=False)))["alarms"]
    assert {one["kind"] for one in found} == {EXPIRY, AUDIT_BROKEN}
    assert "kept heads differ" in " ".join(one["says"] for one in found)
