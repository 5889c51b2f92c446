"""The desk serves rightly, plays its tricks, and finds each kind of bad request."""

import pytest

from devicesdk.bundle.trust import ROLE_TARGETS, Ed25519Signer
from devicesdk.wire import codec, topics
from devicesdk.wire.errors import Nack
from devicesdk.wire.messages import Control, ControlVerb, Get
from devicesdk.wire.timebase import MS, SECOND
from gateway.conform.desk import Asked, Desk, Trick
from gateway.conform.ledger import Ledger, Verdict
from gateway.conform.parcels import make_parcel
from gateway.conform.rules import BY_ID

PARCEL = make_parcel(1, Ed25519Signer(ROLE_TARGETS, bytes(32)))


class Counter:
    """A desk, and a device that asks it."""

    def __init__(self):
        self.ledger = Ledger()
        self.desk = Desk(self.ledger)
        self.manifest, self.hashes, self.image = self.desk.offer(PARCEL, 0)
        self.seq = 0

    def skip_to_the_image(self):
        for shelf in (self.manifest, self.hashes):
            self.ask(shelf, 0, 1)
        return self.image

    def get(self, shelf, base, count, transfer=1, **fields):
        self.seq += 1
        blob = shelf.blob.digest
        return codec.encode(
            Get(transfer=transfer, seq=self.seq, blob=blob, base=base, count=count, **fields)
        )

    def ask(self, shelf, base, count, now=0):
        asked = self.desk.take(self.get(shelf, base, count), now)
        assert isinstance(asked, Asked), f"refused: {asked}"
        return self.desk.answer(asked, now)

    def verdict(self, rule):
        return self.ledger.finding(BY_ID[rule]).verdict


@pytest.fixture
def counter():
    return Counter()


def frames(answers):
    assert all(kind == topics.DAT for kind, _ in answers)
    return [codec.decode_frame(payload) for _, payload in answers]


def test_a_round_has_at_most_four_chunks_and_says_how_many(counter):
    sent = frames(counter.ask(counter.skip_to_the_image(), 0, 6))
    assert [frame.chunk for frame, _ in sent] == [0, 1, 2, 3]
    assert [frame.round_count for frame, _ in sent] == [0, 0, 0, 4]
    image = PARCEL.image.data
    assert b"".join(bytes(chunk) for _, chunk in sent) == image[: 4 * PARCEL.image.chunk_bytes]


@pytest.mark.parametrize(
    ("trick", "chunks"),
    [
        (Trick.LOSSY, [1, 2, 3]),
        (Trick.TWICE, [0, 0, 1, 1, 2, 2, 3, 3]),
        (Trick.SHUFFLED, [2, 1, 0, 3]),
        (Trick.STRAY, [3, 3, 3, PARCEL.image.chunks + 7, 0, 1, 2]),
        (Trick.SILENT, []),
    ],
)
def test_a_trick(counter, trick, chunks):
    image = counter.skip_to_the_image()
    image.tricks.append(trick)
    sent = [frame for frame, _ in (f for f in frames(counter.ask(image, 0, 4)))] if chunks else []
    if not chunks:
        assert counter.ask(image, 0, 4) == []
    assert [frame.chunk for frame in sent] == chunks
    lost = {Trick.LOSSY: {0}, Trick.STRAY: {3}, Trick.SILENT: {0, 1, 2, 3}}.get(trick, set())
    assert set(image.sent) == {0, 1, 2, 3} - lost, "the books say what was sent intact"
    counter.ask(image, 4, 2)
    assert not image.tricks, "each trick is played once"


def test_a_bent_chunk_is_not_booked_and_asking_again_is_right(counter):
    image = counter.skip_to_the_image()
    image.tricks.append(Trick.BENT)
    sent = frames(counter.ask(image, 0, 2))
    assert bytes(sent[0][1]) != PARCEL.image.data[: PARCEL.image.chunk_bytes]
    assert set(image.sent) == {1}
    counter.ask(image, 0, 1)
    assert counter.verdict("G14") is Verdict.KEPT
    assert counter.verdict("G4") is Verdict.KEPT


def test_a_trick_waits_for_a_request_that_is_large_enough(counter):
    image = counter.skip_to_the_image()
    image.tricks.append(Trick.SHUFFLED)
    counter.ask(image, 0, 2)
    assert image.tricks
    counter.ask(image, 2, 3)
    assert not image.tricks


def test_asking_again_for_what_is_there(counter):
    image = counter.skip_to_the_image()
    counter.ask(image, 0, 2)
    counter.ask(image, 1, 2)
    assert counter.verdict("G4") is Verdict.BROKEN


def test_the_same_bytes_again_are_the_broker_and_not_the_device(counter):
    image = counter.skip_to_the_image()
    payload = counter.get(image, 0, 2)
    assert counter.desk.take(payload, 0) is not None
    assert counter.desk.take(payload, 0) is None
    assert counter.verdict("G5") is Verdict.KEPT


def test_numbers_that_do_not_grow(counter):
    image = counter.skip_to_the_image()
    counter.seq = -1
    counter.ask(image, 0, 1)
    assert counter.verdict("G5") is Verdict.BROKEN


def test_three_requests_at_once(counter):
    image = counter.skip_to_the_image()
    for base in (0, 2):
        counter.desk.take(counter.get(image, base, 2), 0)
    assert counter.verdict("G3") is Verdict.KEPT
    counter.desk.take(counter.get(image, 4, 2), 0)
    assert counter.verdict("G3") is Verdict.BROKEN


@pytest.mark.parametrize(("after_ms", "verdict"), [(720, Verdict.KEPT), (400, Verdict.BROKEN)])
def test_coming_back_after_a_wait(counter, after_ms, verdict):
    counter.manifest.tricks.append(Trick.WAIT)
    ((kind, payload),) = counter.ask(counter.manifest, 0, 1)
    said = codec.decode(Control, payload)
    assert (kind, said.verb, said.retry_after_ms) == (topics.CTL, ControlVerb.WAIT, 700)
    counter.ask(counter.manifest, 0, 1, after_ms * MS)
    assert counter.verdict("G6") is verdict


def test_silence_and_patience(counter):
    image = counter.skip_to_the_image()
    image.tricks.extend((Trick.SILENT, Trick.SILENT))
    counter.ask(image, 0, 2, 0)
    counter.ask(image, 0, 2, 1 * SECOND)
    assert counter.verdict("G9") is Verdict.KEPT
    assert counter.verdict("G10") is Verdict.KEPT
    counter.ask(image, 0, 2, 1 * SECOND + 100 * MS)
    assert counter.verdict("G10") is Verdict.BROKEN


def test_a_short_round_is_followed_at_once_or_not(counter):
    image = counter.skip_to_the_image()
    counter.ask(image, 0, 6, 0)
    counter.ask(image, 4, 6, 20 * MS)
    assert counter.verdict("G11") is Verdict.KEPT
    counter.ask(image, 8, 2, 2 * SECOND)
    assert counter.verdict("G11") is Verdict.BROKEN


def test_the_image_before_its_hash_list(counter):
    counter.ask(counter.image, 0, 2)
    assert counter.verdict("G18") is Verdict.BROKEN


def test_garbage_and_blobs_that_nobody_named(counter):
    _, payload = counter.desk.take(b"\xff", 0)
    assert codec.decode(Control, payload).code is Nack.INVALID_REQUEST
    assert counter.verdict("G1") is Verdict.BROKEN
    strange = codec.encode(Get(transfer=1, seq=1, blob=bytes(32), base=0, count=1))
    _, payload = counter.desk.take(strange, 0)
    assert codec.decode(Control, payload).code is Nack.RESOURCE_NOT_FOUND
    assert counter.verdict("G2") is Verdict.BROKEN


@pytest.mark.parametrize(
    ("late_ms", "verdict"), [(500, Verdict.NOT_EXERCISED), (5_000, Verdict.BROKEN)]
)
def test_what_is_overtaken_may_be_asked_for_a_moment_longer(counter, late_ms, verdict):
    old = counter.manifest
    counter.desk.offer(make_parcel(2, Ed25519Signer(ROLE_TARGETS, bytes(32))), 0)
    _, payload = counter.desk.take(counter.get(old, 0, 1), late_ms * MS)
    assert codec.decode(Control, payload).code is Nack.SUPERSEDED
    assert counter.verdict("W8") is verdict
