"""The gateway's side of the TUF roles."""

from hashlib import sha256

import pytest

from devicesdk.bundle.roles import Listed, OnlineRoles, make_targets, signed_by
from devicesdk.bundle.trusted_set import Anchor
from devicesdk.wire import codec, limits
from devicesdk.wire.messages import Get, TrustHead
from devicesdk.wire.messages import UpdateState as T
from devicesdk.wire.timebase import DAY, HOUR, MS, SECOND
from gateway.core import notes, rows, stimuli
from gateway.core.effects import KeepBlob, Note, Persist, Publish, SendRound
from gateway.core.gateway import Gateway, GatewayConfig
from gateway.core.recovery import Recovery
from gateway.core.stimuli import BrokerUp, CreateRollout, Enroll, PubAcked, RegisterRole, Started
from tests_kit.gateway_charts import Chart, PlainSigner, bundle, digest_of, factory, plan
from tests_kit.role_rig import NOW_MS, YEAR_MS, Repository, key

OLD, NEW = bundle("gauge@1.0.0"), bundle("gauge@1.1.0")


def entries(*registered):
    return [
        Listed(
            f"{one.manifest.id}/{one.manifest.version}", one.digest, one.envelope_bytes, 1, ("*",)
        )
        for one in registered
    ]


def repository_of(*registered):
    repository = Repository()
    repository.release(entries=entries(*registered))
    return repository


def gateway_of(repository):
    roles = OnlineRoles(repository.keys.snapshot, repository.keys.timestamp)
    return Gateway(GatewayConfig(), PlainSigner(), PlainSigner(), roles)


def chart_of(*registered):
    """A gateway that has the roles of a repository; all that it said is taken by the broker."""
    chart = Chart(gateway_of(repository := repository_of(*(registered or (OLD, NEW)))))
    chart.rows = {}
    chart >> Started(NOW_MS) >> BrokerUp(session_present=False)
    tell(chart, repository.roots[0])
    tell(chart, repository.targets)
    return chart, repository


def tell(chart, data):
    chart >> RegisterRole(data)
    for row in chart.all(Persist):
        chart.rows[row.table, row.key] = row.row
    return chart


def head_of(chart):
    (said,) = chart.all(Publish, kind="timestamp")
    assert said.retain
    return codec.decode(TrustHead, said.payload)


def chain_of(repository, head):
    """What a device makes of it."""
    chain = Anchor(repository.roots[0]).born
    while chain.version < head.root:
        chain = chain.with_root(repository.roots[chain.version])
    return (
        chain.with_timestamp(head.timestamp).with_snapshot(head.snapshot).with_targets(head.targets)
    )


def test_targets_make_a_snapshot_and_a_timestamp_that_devices_take():
    chart, repository = chart_of()
    chain = chain_of(repository, head_of(chart))
    assert chain.missing() is None
    assert chain.listing(NEW.digest).path == "gauge/1.1.0"
    kept = [effect.data for effect in chart.all(KeepBlob)]
    assert repository.targets in kept
    keys = {key for table, key in chart.rows if table == rows.ROLE}
    assert keys == {"root/1", "targets", "snapshot", "timestamp"}


def test_the_timestamp_is_renewed_before_it_expires_and_never_after():
    chart, repository = chart_of()
    first = head_of(chart)
    seen = []
    for _ in range(20):
        chart.wait(12 * HOUR)
        seen += [codec.decode(TrustHead, p.payload) for p in chart.all(Publish, kind="timestamp")]
    versions = [chain_of(repository, head).timestamp.signed.version for head in (first, *seen)]
    assert versions == list(range(1, len(versions) + 1))
    assert len(seen) == 10 * 24 // 36
    last = chain_of(repository, seen[-1])
    assert not last.expired(NOW_MS + chart.now // MS)
    assert last.snapshot.signed.version == 1, "a snapshot that vouches for a year was made anew"


def test_a_snapshot_is_renewed_in_its_last_half():
    chart, repository = chart_of()
    chart.now = 200 * DAY
    chart >> stimuli.DeadlineReached()
    chain = chain_of(repository, head_of(chart))
    assert chain.snapshot.signed.version == 2
    assert not chain.expired(NOW_MS + 200 * DAY // MS)


def test_a_bundle_that_targets_do_not_list_is_refused():
    chart, repository = chart_of(OLD)
    chart >> OLD
    assert chart.notes() == ["bundle.registered"]
    chart >> NEW
    assert chart.notes() == ["bundle.refused"]
    repository.release(entries=entries(OLD, NEW))
    tell(chart, repository.targets) >> NEW
    assert chart.notes() == ["bundle.registered"]


@pytest.mark.parametrize(
    "data",
    [b"", b"{}", b"[]", b"\xff", b'{"signed":{"_type":"root"},"signatures":[]}', bytes(600_000)],
)
def test_what_is_no_metadata_is_refused_and_changes_nothing(data):
    chart, repository = chart_of()
    tell(chart, data)
    assert chart.notes() == ["role.refused"]
    assert chart.all(Persist) == []
    repository.rotate()
    tell(chart, repository.roots[1])
    assert head_of(chart).root == 2


def test_targets_and_roots_that_devices_would_refuse_are_not_said():
    chart, repository = chart_of()
    stale, targets = repository.targets, list(repository.keys.targets)
    repository.release(entries=entries(OLD))
    tell(chart, repository.targets)
    assert chart.notes() == ["role.registered"]
    tell(chart, stale)
    assert chart.notes() == ["role.refused"], "targets went back"
    repository.keys.targets = [targets[0], targets[0]]
    repository.release(entries=entries(OLD, NEW))
    tell(chart, repository.targets)
    assert chart.notes() == ["role.refused"], "one signature of two"
    repository.keys.targets = targets
    repository.rotate(signers=[key(1)])
    tell(chart, repository.roots[1])
    assert chart.notes() == ["role.refused"], "one signature of two"
    assert chart.all(Publish) == []


def test_without_keys_of_its_own_a_gateway_has_no_roles():
    repository = repository_of(OLD)
    chart = Chart() >> Started(NOW_MS) >> BrokerUp(session_present=False)
    chart >> RegisterRole(repository.roots[0])
    assert chart.notes() == ["role.refused"]
    chart >> NEW
    assert chart.notes() == ["bundle.registered"], "without roles nobody lists anything"
    chart.wait(10 * DAY)
    assert chart.all(Publish, kind="timestamp") == []


def test_everything_is_there_again_after_a_crash():
    chart, repository = chart_of()
    before = head_of(chart)
    stored = [(table, key, row) for (table, key), row in chart.rows.items()]
    again = Chart(gateway_of(repository))
    again.machine.restore(stored, 0)
    again >> Started(NOW_MS + 1000)
    assert again.all(Publish) == [], "nothing is signed anew without need"
    again >> BrokerUp(session_present=True)
    assert head_of(again) == before
    kept = [effect.data for effect in again.all(KeepBlob)]
    assert set(kept) >= {repository.targets, repository.roots[0]}
    assert again.machine.deadline()[0] == 36 * HOUR - SECOND


def test_a_gateway_that_was_given_new_online_keys_signs_anew():
    """The root came first, the keys with the next start."""
    chart, repository = chart_of()
    repository.keys.snapshot, repository.keys.timestamp = key(22), key(32)
    repository.rotate()
    tell(chart, repository.roots[1])
    assert "role.waits" in chart.notes()
    assert chart.all(Publish, kind="timestamp") == [], "said what no device would take"
    again = Chart(gateway_of(repository))
    again.machine.restore([(t, k, row) for (t, k), row in chart.rows.items()], 0)
    again >> Started(NOW_MS + 1000) >> BrokerUp(session_present=True)
    chain = chain_of(repository, head_of(again))
    assert chain.version == 2
    assert chain.missing() is None


def test_hints_lead_to_each_root_of_the_last_256():
    chart, repository = chart_of()
    for _ in range(260):
        repository.rotate()
        tell(chart, repository.roots[-1])
    head = head_of(chart)
    assert head.root == 261
    for version in (261, 6):
        root = repository.roots[version - 1]
        assert head.root_blob(version) == (sha256(root).digest(), len(root))
    assert head.root_blob(5) is None
    assert head.root_blob(262) is None
    (said,) = chart.all(Publish, kind="timestamp")
    assert len(said.payload) <= limits.TRUST_HEAD_BYTES_MAX


def test_targets_too_large_to_ride_are_left_to_be_fetched():
    many = [bundle(f"gauge@1.0.{n}") for n in range(40)]
    chart, repository = chart_of(*many)
    head = head_of(chart)
    assert head.targets == b""
    assert len(repository.targets) > limits.RIDING_BYTES_MAX
    get = Get(transfer=1, seq=1, blob=sha256(repository.targets).digest(), base=0, count=1)
    chart >> Enroll("d0", {}) >> stimuli.Arrived("get", "d0", codec.encode(get))
    (answer,) = chart.all(SendRound)
    assert answer.blob == get.blob, "role metadata needs no grant"


def test_anybody_may_fetch_roles_and_nobody_anything_else_without_a_grant():
    chart, repository = chart_of()
    chart >> OLD >> Enroll("d0", {})
    for seq, (blob, may) in enumerate(
        [(sha256(repository.roots[0]).digest(), True), (OLD.digest, False)], start=1
    ):
        get = Get(transfer=1, seq=seq, blob=blob, base=0, count=1)
        chart >> stimuli.Arrived("get", "d0", codec.encode(get))
        assert bool(chart.all(SendRound)) is may


def test_a_new_root_has_everything_signed_said_anew():
    chart, repository = chart_of()
    chart >> OLD >> NEW >> factory() >> Enroll("d0", {"region": "eu"}) >> stimuli.Kill("polish")
    chart >> CreateRollout(plan(waves=(1.0,)))
    for effect in chart.all(Publish):
        chart >> PubAcked(effect.token)
    repository.rotate()
    tell(chart, repository.roots[1])
    kinds = [effect.kind for effect in chart.all(Publish)]
    assert kinds[:2] == ["timestamp", "kill"]
    chart.wait(MS)
    assert list(chart.wants()) == ["d0"]


def test_a_device_that_asks_is_told_the_time_once():
    chart, _ = chart_of()
    chart >> OLD >> NEW >> factory() >> Enroll("d0", {"region": "eu"})
    chart >> CreateRollout(plan(waves=(1.0,)))
    chart.now = 5 * HOUR
    said = {"running": OLD.digest, "state": T.WAITING, "nonce": 77}
    chart.have("d0", generation=1, **said)
    (want,) = chart.wants().values()
    assert (want.nonce, want.issued_ms, want.generation) == (77, NOW_MS + 5 * HOUR // MS, 2)
    chart.have("d0", generation=1, **said)
    assert "device.time_told" not in chart.notes(), "answered twice"
    chart.have("d0", generation=2, running=OLD.digest, state=T.WAITING, nonce=78)
    assert chart.wants()["d0"].nonce == 78
    chart.commit("d0", generation=3)
    chart.have("d0", generation=3, running=NEW.digest, state=T.COMMITTED, nonce=79)
    assert chart.wants() == {}, "nothing is wanted of it: there is nothing to be late for"


def test_a_replayed_report_asks_nothing_again():
    """Uptane's replayed report: an older `(boot_id, seq)` is not heard, whatever it asks."""
    chart, _ = chart_of()
    chart >> OLD >> NEW >> factory() >> Enroll("d0", {"region": "eu"})
    chart >> CreateRollout(plan(waves=(1.0,)))
    chart.have("d0", generation=1, running=OLD.digest, state=T.WAITING, nonce=5)
    chart.commit("d0", generation=2)
    before = chart.twin("d0")
    chart._seqs["d0"] = 0
    chart.have("d0", generation=1, running=OLD.digest, state=T.WAITING, nonce=6)
    assert chart.twin("d0") == before
    assert chart.all(Publish) == []


def test_only_a_way_back_says_that_it_is_one():
    chart, _ = chart_of()
    chart >> OLD >> NEW >> factory() >> Enroll("d0", {"region": "eu"})
    chart >> CreateRollout(plan(waves=(1.0,)))
    assert not chart.wants()["d0"].back
    chart.commit("d0")
    chart >> stimuli.SteerRollout("r1", "abort-revert")
    want = chart.wants()["d0"]
    assert want.manifest == digest_of("gauge@1.0.0")
    assert want.back


def test_targets_that_have_expired_are_not_said():
    """Devices would wait for newer ones, all of them, and with every update."""
    chart, repository = chart_of()
    before = head_of(chart)
    for lives_ms, taken in ((-1, False), (YEAR_MS, True)):
        draft = make_targets(9, entries(OLD, NEW), {}, NOW_MS, NOW_MS + lives_ms)
        tell(chart, signed_by(draft, *repository.keys.targets))
        assert bool(chart.all(Publish, kind="timestamp")) is taken
        assert bool(chart.all(Note, kind=notes.ROLE_REFUSED)) is not taken
    assert chain_of(repository, before).missing() is None


def test_what_was_made_in_the_future_is_not_said():
    """Devices believe in no instant before one that was signed: they would take all else for expired."""
    chart, repository = chart_of()
    before = head_of(chart)
    later = NOW_MS + 30 * DAY // MS
    targets = signed_by(
        make_targets(9, entries(OLD, NEW), {}, later, later + YEAR_MS), *repository.keys.targets
    )
    tell(chart, targets)
    refused = chart.all(Note, kind=notes.ROLE_REFUSED)
    assert refused, "targets of next month were taken in"
    assert "clock" in refused[0].subject
    assert not chart.all(Publish, kind="timestamp")
    assert chain_of(repository, before).missing() is None


def test_a_gateway_that_went_back_in_time_signs_what_devices_take_that_saw_more():
    chart, repository = chart_of()
    kept = sorted(chart.rows.items())
    seen = []
    for _ in range(20):
        chart.wait(12 * HOUR)
        seen += chart.all(Publish, kind="timestamp")
    assert len(seen) > 3
    device = chain_of(repository, codec.decode(TrustHead, seen[-1].payload))
    now_ms = NOW_MS + chart.now // MS
    recovery = Recovery(NOW_MS, now_ms)
    back = Chart(gateway_of(repository))
    back.machine.restore(recovery.rows((t, key, row) for (t, key), row in kept), 0)
    back >> Started(now_ms) >> BrokerUp(session_present=True)
    head = head_of(back)
    taken = device.with_timestamp(head.timestamp).with_snapshot(head.snapshot)
    if taken.missing() is not None:
        taken = taken.with_targets(head.targets)
    assert taken.missing() is None
    assert taken.timestamp.signed.version == now_ms
    assert taken.listing(NEW.digest).path == "gauge/1.1.0"
    back.wait(3 * DAY)
    again = codec.decode(TrustHead, back.all(Publish, kind="timestamp")[-1].payload)
    assert taken.with_timestamp(again.timestamp).timestamp.signed.version > now_ms
