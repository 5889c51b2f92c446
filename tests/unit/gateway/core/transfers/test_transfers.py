from __future__ import annotations

from typing import Any

import pytest

from devicesdk.wire import codec
from devicesdk.wire import limits as wire
from devicesdk.wire.errors import Nack, Wait
from devicesdk.wire.messages import Control, ControlVerb, Get
from devicesdk.wire.timebase import MS, SECOND
from gateway.core.effects import Note, Publish, SendRound
from gateway.core.internal import BlobKnown, Granted, Paused, Revoked
from gateway.core.stimuli import Arrived, BrokerDown, DeadlineReached
from gateway.core.transfers import notes
from gateway.core.transfers.limits import TransferLimits
from gateway.core.transfers.transfers import Transfers

CHUNK = 16 * 1024
IMAGE, HASHES, STRANGER = b"i" * 32, b"h" * 32, b"s" * 32
MANIFEST = b"m" * 32


def granted(device: str = "kiosk-1", deployment: str = "r1", priority: int = 1000) -> Granted:
    return Granted(device, deployment, MANIFEST, (HASHES, IMAGE), priority)


def machine(*devices: str, **bounds: Any) -> Transfers:
    made = Transfers(TransferLimits(**bounds))
    made.handle(BlobKnown(IMAGE, 25 * CHUNK - 100, CHUNK), 0)
    made.handle(BlobKnown(HASHES, 25 * 32, CHUNK), 0)
    for device in devices or ("kiosk-1",):
        made.handle(granted(device), 0)
    return made


def ask(seq: int = 1, device: str = "kiosk-1", transfer: int = 7, **fields: Any) -> Arrived:
    body = {"blob": IMAGE, "base": 0, "count": 8} | fields
    return Arrived("get", device, codec.encode(Get(transfer=transfer, seq=seq, **body)))


def rounds(effects: list[Any]) -> list[SendRound]:
    return [effect for effect in effects if isinstance(effect, SendRound)]


def answer(effects: list[Any]) -> Control:
    [publish] = [effect for effect in effects if isinstance(effect, Publish)]
    assert publish.topic == "fd/main/d/kiosk-1/ctl", (
        f"expected a ctl message, found {publish.topic}"
    )
    assert (publish.token, publish.retain, publish.expiry_ns) == (0, False, 60 * SECOND)
    return codec.decode(Control, publish.payload)


def refusal(effects: list[Any]) -> Nack | None:
    said = answer(effects)
    assert said.verb is ControlVerb.NACK, f"expected NACK, found {said}"
    return said.code


def test_a_granted_request_is_served() -> None:
    served = machine()
    effects = served.handle(ask(base=3, count=8, bitmap=b"\x0f"), 0)
    assert effects == [
        SendRound("kiosk-1", 7, 1, IMAGE, CHUNK, (3, 4, 5, 6)),
        Note(notes.BEGUN, "kiosk-1", 7, 1),
    ]
    assert served.handle(ask(2, base=7), SECOND) == [
        SendRound("kiosk-1", 7, 2, IMAGE, CHUNK, tuple(range(7, 15)))
    ]
    served.validate()


def test_a_round_is_bounded_by_the_credit() -> None:
    [one] = rounds(machine().handle(ask(credit=3 * CHUNK + 5), 0))
    assert one.indices == (0, 1, 2)
    assert refusal(machine().handle(ask(credit=CHUNK - 1), 0)) is Nack.INVALID_REQUEST


def test_a_round_never_exceeds_what_the_protocol_allows() -> None:
    [one] = rounds(machine().handle(ask(credit=2**31), 0))
    assert len(one.indices) * CHUNK == wire.ROUND_BYTES_MAX


def test_a_redelivered_request_is_answered_once() -> None:
    served = machine()
    assert rounds(served.handle(ask(1), 0))
    assert served.handle(ask(1), SECOND) == []
    assert rounds(served.handle(ask(2), SECOND))
    assert served.handle(ask(1), 2 * SECOND) == []
    assert served.duplicates == 2
    # Another transfer with the same numbers is another request, and a lapsed lease remembers nothing.
    assert rounds(served.handle(ask(1, transfer=8), 2 * SECOND))
    assert rounds(served.handle(ask(1), 100 * SECOND))


def test_only_the_last_few_requests_are_remembered() -> None:
    served = machine()
    for seq in range(10):
        assert rounds(served.handle(ask(seq), seq))
    served.validate()
    assert served.handle(ask(9), 10) == []
    assert rounds(served.handle(ask(1), 10))


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (Arrived("get", "kiosk-1", b"\xc1rubbish"), Nack.INVALID_REQUEST),
        (ask(blob=STRANGER), Nack.RESOURCE_NOT_FOUND),
        (ask(base=25), Nack.OFFSET_OUT_OF_BOUNDS),
        (ask(count=9), Nack.BLOCK_COUNT_LIMIT_EXCEEDED),
        (ask(bitmap=b"\0"), Nack.INVALID_REQUEST),
    ],
)
def test_a_bad_request_is_answered(request_: Arrived, code: Nack) -> None:
    served = machine()
    effects = served.handle(request_, 0)
    assert refusal(effects) is code
    assert effects[1] == Note(notes.REFUSED[code], "kiosk-1", answer(effects).transfer,
                              answer(effects).seq)  # fmt: skip
    assert served.active == 0
    served.validate()


def test_who_has_no_grant_may_ask_again_later() -> None:
    served = Transfers(TransferLimits())
    assert refusal(served.handle(ask(), 0)) is Nack.UNAUTHORIZED
    assert not Nack.UNAUTHORIZED.terminal


def test_a_blob_of_an_earlier_deployment_is_superseded() -> None:
    served = machine()
    served.handle(BlobKnown(STRANGER, 10, CHUNK), 0)
    assert refusal(served.handle(ask(blob=STRANGER), 0)) is Nack.SUPERSEDED


def test_a_granted_blob_that_is_not_known_is_our_fault() -> None:
    served = Transfers(TransferLimits())
    served.handle(granted(), 0)
    assert refusal(served.handle(ask(), 0)) is Nack.INTERNAL_ERROR


def test_a_revoked_device_is_told_why_until_it_is_granted_again() -> None:
    served = machine()
    served.handle(ask(), 0)
    served.handle(Revoked("kiosk-1", Nack.QUARANTINED), 1)
    assert served.active == 0
    assert refusal(served.handle(ask(2), 2)) is Nack.QUARANTINED
    served.handle(granted(), 3)
    assert rounds(served.handle(ask(3), 4))
    served.validate()


def test_reasons_are_forgotten_oldest_first() -> None:
    served = machine(refusals_max=2)
    for device in ("a", "b", "kiosk-1"):
        served.handle(Revoked(device, Nack.GONE), 0)
    served.handle(Revoked("kiosk-1", Nack.SUPERSEDED), 0)
    served.validate()
    assert refusal(served.handle(ask(), 0)) is Nack.SUPERSEDED
    served.handle(Revoked("c", Nack.GONE), 0)
    served.handle(Revoked("e", Nack.GONE), 0)
    assert refusal(served.handle(ask(), 0)) is Nack.UNAUTHORIZED


def test_a_paused_deployment_waits_and_goes_on() -> None:
    served = machine("kiosk-1", "kiosk-2")
    served.handle(Paused("r1", paused=True), 0)
    effects = served.handle(ask(), 0)
    said = answer(effects)
    assert (said.verb, said.why) == (ControlVerb.WAIT, Wait.PAUSED)
    assert 30_000 <= said.retry_after_ms < 60_000
    assert effects[1] == Note(notes.DELAYED[Wait.PAUSED], "kiosk-1", 7, said.retry_after_ms)
    served.handle(Paused("r1", paused=False), 0)
    served.handle(Paused("r1", paused=False), 0)
    assert rounds(served.handle(ask(), 1)), "the request that was told to wait was not remembered"


def test_when_all_places_are_taken_others_wait_for_a_lease_to_lapse() -> None:
    served = machine("kiosk-1", "kiosk-2", active_max=1)
    assert rounds(served.handle(ask(device="kiosk-2"), 0))
    assert answer(served.handle(ask(), SECOND)).why is Wait.BUSY
    assert rounds(served.handle(ask(2, device="kiosk-2"), 20 * SECOND)), "the active one goes on"
    due, _ = served.deadline() or (0, "")
    assert due == 30 * SECOND
    assert served.handle(DeadlineReached(), due) == []
    due, _ = served.deadline() or (0, "")
    assert due == 50 * SECOND
    assert served.handle(DeadlineReached(), due - 1) == []
    assert served.handle(DeadlineReached(), due) == [Note(notes.LAPSED, "", 1, 0)]
    assert served.deadline() is None
    assert served.handle(DeadlineReached(), due) == []
    assert rounds(served.handle(ask(2), due))
    served.validate()


def test_the_budget_is_kept_and_devices_come_back_at_different_times() -> None:
    devices = [f"d{i}" for i in range(40)]
    served = machine(*devices, bytes_per_s_max=8 * CHUNK, burst_bytes_max=8 * CHUNK)
    waits = []
    for device in devices:
        effects = served.handle(ask(device=device), 0)
        for publish in effects:
            if isinstance(publish, Publish):
                said = codec.decode(Control, publish.payload)
                assert said.why is Wait.BUDGET
                waits.append(said.retry_after_ms)
    assert waits == [1000 * (n + 1) for n in range(39)]
    # Each comes back when it was told to: nobody is sent away twice.
    for wait, device in zip(waits, devices[1:], strict=True):
        assert rounds(served.handle(ask(2, device=device), wait * MS)), f"{device} waited in vain"


def test_waits_have_a_shortest_and_a_longest() -> None:
    served = machine(bytes_per_s_max=CHUNK * 1000, burst_bytes_max=8 * CHUNK)
    served.handle(ask(1), 0)
    assert answer(served.handle(ask(2), 0)).retry_after_ms == 50
    slow = machine(bytes_per_s_max=1, burst_bytes_max=1)
    assert answer(slow.handle(ask(), 0)).retry_after_ms == 60_000


def test_what_is_left_of_the_budget_is_served_in_whole_chunks() -> None:
    served = machine(bytes_per_s_max=CHUNK, burst_bytes_max=11 * CHUNK)
    assert len(rounds(served.handle(ask(1), 0))[0].indices) == 8
    assert len(rounds(served.handle(ask(2), 0))[0].indices) == 3
    assert answer(served.handle(ask(3), 0)).why is Wait.BUDGET


def test_a_lower_priority_leaves_part_of_the_burst_to_others() -> None:
    served = machine("kiosk-1", bytes_per_s_max=CHUNK, burst_bytes_max=16 * CHUNK)
    served.handle(granted("kiosk-1", priority=0), 0)
    served.handle(granted("ambulance", priority=1000), 0)
    assert rounds(served.handle(ask(1), 0))
    assert answer(served.handle(ask(2), 0)).why is Wait.BUDGET
    assert rounds(served.handle(ask(1, device="ambulance"), 0))


def test_one_deployment_cannot_use_up_the_others_share() -> None:
    served = machine(deployment_bytes_per_s_max=CHUNK, deployment_burst_bytes_max=8 * CHUNK)
    served.handle(granted("other", deployment="fix"), 0)
    assert rounds(served.handle(ask(1), 0))
    assert answer(served.handle(ask(2), 0)).why is Wait.BUDGET
    assert rounds(served.handle(ask(1, device="other"), 0))


def test_budgets_of_deployments_are_bounded_and_the_idlest_goes() -> None:
    served = machine(
        deployments_max=2, deployment_bytes_per_s_max=CHUNK, deployment_burst_bytes_max=8 * CHUNK
    )
    for seq, deployment in enumerate(("r1", "r2", "r3")):
        served.handle(granted(deployment=deployment), 0)
        assert rounds(served.handle(ask(seq), seq * SECOND))
        served.validate()
    [last] = rounds(served.handle(ask(9), 3 * SECOND))
    assert len(last.indices) == 1, "the budget of r3 was kept: one second gives one chunk"


def test_full_tables_take_nothing_new_but_replace_the_old() -> None:
    served = Transfers(TransferLimits(blobs_max=1, grants_max=1))
    known = BlobKnown(IMAGE, 5 * CHUNK, CHUNK)
    assert served.handle(known, 0) == served.handle(known, 0) == []
    assert served.handle(BlobKnown(HASHES, 32, CHUNK), 0) == [Note(notes.FULL, HASHES.hex(), 1)]
    assert served.handle(granted("kiosk-1"), 0) == served.handle(granted("kiosk-1"), 0) == []
    assert served.handle(granted("kiosk-2"), 0) == [Note(notes.FULL, "kiosk-2", 1)]
    served.validate()


def test_what_is_not_for_us_is_left_alone() -> None:
    served = machine()
    assert served.handle(Arrived("tel", "kiosk-1", b"x"), 0) == []
    assert served.handle(BrokerDown("reset"), 0) == []


def test_memory_is_that_of_active_transfers() -> None:
    served = machine(
        *(f"d{i}" for i in range(500)),
        active_max=100,
        burst_bytes_max=2**30,
        deployment_burst_bytes_max=2**30,
    )
    for i in range(500):
        served.handle(ask(device=f"d{i}"), 0)
    assert served.active == 100
    due, _ = served.deadline() or (0, "")
    served.handle(DeadlineReached(), due)
    assert served.active == 0
    served.validate()
