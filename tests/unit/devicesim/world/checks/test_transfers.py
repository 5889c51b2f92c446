import pytest

from devicesdk.agent.effects import Delete, Note, Write
from devicesdk.agent.notes import NoteKind
from devicesdk.wire.messages import Get
from devicesim.world.checks.transfers import Resume, asked_chunks
from tests_kit import worlds

FILE = "slot-b"


class Transfer:
    """A device that fetches the newer bundle's image, as the check sees it."""

    def __init__(self):
        self.world = worlds.make_world(worlds.scenario_text(count=1))
        self.host = self.world.hosts[0]
        self.host.slot = "a"
        bundle = next(b for b in self.world.bundles.values() if b.manifest.version == "1.1.0")
        self.variant = bundle.manifest.variants[0]
        self.check = Resume(self.world)
        self.seq = 0

    def ask(self, base, count, bitmap=b""):
        self.seq += 1
        get = Get(
            transfer=1,
            seq=self.seq,
            blob=self.variant.image.raw,
            base=base,
            count=count,
            bitmap=bitmap,
        )
        self.check.asked(self.host, get, self.seq)
        return get

    def write(self, *chunks):
        for chunk in chunks:
            offset = chunk * self.variant.chunk_bytes
            self.check.stored(self.host, Write(FILE, offset, b"x"), 0)
            self.host.parts.flash.write(FILE, offset, b"x")


@pytest.fixture
def transfer():
    return Transfer()


def test_which_chunks_a_request_names():
    get = Get(transfer=1, seq=1, blob=b"b" * 32, base=8, count=3)
    assert list(asked_chunks(get)) == [8, 9, 10]
    some = Get(transfer=1, seq=1, blob=b"b" * 32, base=8, count=9, bitmap=bytes([0b101, 1]))
    assert list(asked_chunks(some)) == [8, 10, 16]


def test_going_on_where_it_stopped_is_as_it_should_be(transfer):
    transfer.ask(0, 2)
    transfer.write(0, 1)
    transfer.ask(2, 2)
    assert transfer.check.verdict is True


def test_asking_again_for_what_is_here_is_not(transfer):
    transfer.ask(0, 2)
    transfer.write(0, 1)
    transfer.ask(0, 2)
    assert "found 2 of them asked for again" in transfer.check.story()


def test_a_request_that_is_only_sent_again_is_the_same_request(transfer):
    get = transfer.ask(0, 2)
    transfer.write(0, 1)
    transfer.check.asked(transfer.host, get, 9)
    assert transfer.check.held


def test_a_chunk_that_was_asked_for_and_has_not_come_may_be_asked_for_again(transfer):
    transfer.ask(0, 2)
    transfer.ask(0, 2)
    assert transfer.check.held


def test_each_loss_of_power_costs_at_most_64_kib(transfer):
    transfer.ask(0, 5)
    transfer.write(0, 1, 2, 3, 4)
    transfer.check.went_off(transfer.host, 1)
    transfer.ask(0, 4)
    assert transfer.check.held
    transfer.ask(4, 1)
    assert not transfer.check.held


def test_deleting_the_slot_is_no_excuse(transfer):
    transfer.ask(0, 2)
    transfer.write(0, 1)
    transfer.check.stored(transfer.host, Delete(FILE), 1)
    transfer.host.parts.flash.delete(FILE)
    transfer.ask(0, 2)
    assert not transfer.check.held


@pytest.mark.parametrize("kind", [NoteKind.IMAGE_BAD, NoteKind.STORAGE_FAILED])
def test_lost_storage_is(transfer, kind):
    transfer.ask(0, 2)
    transfer.write(0, 1)
    transfer.check.noted(transfer.host, Note(kind, 1), 1)
    transfer.ask(0, 2)
    assert transfer.check.held


def test_another_image_in_the_slot_begins_at_its_beginning(transfer):
    transfer.ask(0, 2)
    transfer.write(0, 1)
    other = next(
        v for b in transfer.world.bundles.values() for v in b.manifest.variants
        if v.image.raw != transfer.variant.image.raw
    )  # fmt: skip
    get = Get(transfer=2, seq=1, blob=other.image.raw, base=0, count=2)
    transfer.check.asked(transfer.host, get, 5)
    transfer.ask(0, 2)
    assert transfer.check.held
