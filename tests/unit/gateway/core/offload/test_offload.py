"""Admission: who is served, who is told to wait, and that nothing is promised twice."""

from devicesdk.wire import codec, topics
from devicesdk.wire.errors import Nack, Wait
from devicesdk.wire.messages import Ask, Control, ControlVerb
from devicesdk.wire.timebase import MINUTE, SECOND
from gateway.core.effects import Infer, Publish
from gateway.core.internal import ModelKnown
from gateway.core.offload.limits import OffloadLimits
from gateway.core.offload.offload import Offload
from gateway.core.stimuli import Arrived, DeadlineReached, Inferred

MANIFEST, SMALL, LARGE = b"m" * 32, b"s" * 32, b"l" * 32


def machine(**bounds):
    made = Offload(OffloadLimits(**bounds))
    made.handle(ModelKnown(MANIFEST, (("int8", SMALL, 10), ("fp32", LARGE, 20))), 0)
    return made


def asks(made, number=1, device="kiosk-1", now=0, **fields):
    body = {"manifest": MANIFEST, "frames": 2, "pixels": bytes(8)} | fields
    payload = codec.encode(Ask(number=number, **body))
    said = made.handle(Arrived(topics.ASK, device, payload), now)
    made.validate()
    return said


def answer(said):
    (publish,) = [effect for effect in said if isinstance(effect, Publish)]
    assert (publish.kind, publish.token, publish.retain) == (topics.CTL, 0, False)
    assert publish.expiry_ns == 10 * SECOND, (
        "an answer that nobody waits for any more must not stay"
    )
    return codec.decode(Control, publish.payload)


def test_an_ask_is_run_on_the_largest_variant_and_answered_once():
    made = machine()
    infer = asks(made, number=7)[0]
    assert infer == Infer(1, LARGE, 2, bytes(8))
    said = answer(made.handle(Inferred(1, b"outputs"), 1))
    assert (said.verb, said.ask, said.outputs) == (ControlVerb.ANSWER, 7, b"outputs")
    assert made.handle(Inferred(1, b"outputs"), 2) == []
    assert (made.in_flight, made.served_frames) == (0, 2)


def test_the_variant_that_was_asked_for():
    assert asks(machine(), variant="int8")[0].image == SMALL


def test_what_cannot_be_run_is_refused():
    made = machine()
    assert answer(asks(made, manifest=b"x" * 32)).code is Nack.RESOURCE_NOT_FOUND
    assert answer(asks(made, variant="fp16")).code is Nack.RESOURCE_NOT_FOUND
    assert answer(asks(made, pixels=bytes(7))).code is Nack.INVALID_REQUEST
    assert answer(asks(machine(in_flight_max=0))).verb is ControlVerb.NACK
    asks(made)
    assert answer(made.handle(Inferred(1, b""), 0)).code is Nack.INTERNAL_ERROR


def test_nonsense_is_noted_and_not_answered():
    said = machine().handle(Arrived(topics.ASK, "kiosk-1", b"\xff" * 9), 0)
    assert [type(effect).__name__ for effect in said] == ["Note"]


def test_when_enough_run_the_next_is_told_to_wait_each_device_another_time():
    made = machine(in_flight_max=2)
    asks(made, 1, "a"), asks(made, 2, "b")
    waits = [answer(asks(made, 3, device)) for device in ("c", "d", "e")]
    assert {(said.verb, said.why) for said in waits} == {(ControlVerb.WAIT, Wait.BUSY)}
    assert len({said.retry_after_ms for said in waits}) == 3
    assert all(5_000 <= said.retry_after_ms < 10_000 for said in waits)


def test_a_device_has_so_many_frames_a_minute_and_others_have_theirs():
    made = machine(device_frames_max=3, in_flight_max=100)
    assert isinstance(asks(made, 1, now=0)[0], Infer)
    said = answer(asks(made, 2, now=20 * SECOND))
    assert (said.why, said.retry_after_ms) == (Wait.BUDGET, 40_000)
    assert isinstance(asks(made, 3, "other", now=20 * SECOND)[0], Infer)
    assert isinstance(asks(made, 4, now=MINUTE)[0], Infer)


def test_a_run_that_takes_too_long_is_forgotten_and_its_place_is_free():
    made = machine(in_flight_max=1)
    asks(made, 1)
    at, why = made.deadline()
    assert at == 10 * SECOND
    assert "offload" in why
    made.handle(DeadlineReached(), at)
    assert made.deadline() is None
    assert made.handle(Inferred(1, b"late"), at + 1) == []
    assert isinstance(asks(made, 2, now=at + 1)[0], Infer)


def test_memory_is_bounded():
    made = machine(devices_max=3, in_flight_max=1000, models_max=2)
    for number in range(10):
        asks(made, number + 1, f"kiosk-{number}")
        made.handle(ModelKnown(bytes([number]) * 32, ()), 0)
        made.validate()
