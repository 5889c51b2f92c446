"""Pages of the audit log: what is kept, for how long, and what is never shown."""

import msgspec
import pytest
from msgspec.structs import replace

from gateway.core.access.roles import Role
from gateway.core.audit import rows
from gateway.runtime import log_book
from gateway.runtime.life import BusyError
from gateway.runtime.verbs import EnrollDevice, VerbError
from tests_kit.office_stage import ADMIN, EU, Bureau


@pytest.fixture
async def bureau():
    made = Bureau()
    await made.up()
    for number in range(7):
        await made.office.do(ADMIN, EnrollDevice(device=f"d{number}", labels={}))
    yield made
    made.runtime.close()


async def walked(bureau, *, newest, limit):
    """All numbers, page by page."""
    place, found = 0, []
    while True:
        page = await bureau.office.book(ADMIN).page(place, limit, newest=newest)
        found += [msgspec.json.decode(raw)["number"] for raw in page.raws]
        assert len(page.raws) <= limit
        if page.next is None:
            return found
        place = int(page.next)


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 8, 100])
async def test_pages_from_both_ends_have_each_entry_once(bureau, limit):
    for _ in range(2):  # read, and kept
        assert await walked(bureau, newest=False, limit=limit) == [1, 2, 3, 4, 5, 6, 7]
        assert await walked(bureau, newest=True, limit=limit) == [7, 6, 5, 4, 3, 2, 1]


async def test_an_entry_is_read_once_and_a_new_one_is_shown_at_once(bureau):
    book = bureau.office.book(ADMIN)
    before = await book.page(0, 7, newest=False)
    again = await book.page(0, 7, newest=False)
    assert all(one is other for one, other in zip(before.raws, again.raws, strict=True))
    assert before.tag("") == again.tag("")
    await bureau.office.do(ADMIN, EnrollDevice(device="d9", labels={}))
    newest = await book.page(0, 1, newest=True)
    assert msgspec.json.decode(newest.raws[0])["subject"] == "d9"


async def test_a_forged_entry_is_shown_as_it_is_stored_after_a_while(bureau, monkeypatch):
    """Whoever verifies the log over the API must see what is stored, not what once was."""
    monkeypatch.setattr(log_book, "KEPT_S", 0.0)
    book = bureau.office.book(ADMIN)
    await book.page(0, 7, newest=False)
    key = rows.entry_key(3)
    ((_, true),) = await bureau.runtime.page(rows.ENTRY, rows.entry_key(2), 1)
    bureau.storage.durable[rows.ENTRY, key] = replace(true, actor="nobody")
    shown = [msgspec.json.decode(raw) for raw in (await book.page(0, 7, newest=False)).raws]
    assert [entry["actor"] for entry in shown][2] == "nobody"


async def test_a_log_that_was_cut_is_shown_as_it_is(bureau):
    book = bureau.office.book(ADMIN)
    for number in (4, 7):
        del bureau.storage.durable[rows.ENTRY, rows.entry_key(number)]
    for newest, wanted in ((False, [1, 2, 3, 5, 6]), (True, [6, 5, 3, 2, 1])):
        page = await book.page(0, 7, newest=newest)
        assert [msgspec.json.decode(raw)["number"] for raw in page.raws] == wanted


async def test_what_is_kept_is_bounded_in_bytes(bureau, monkeypatch):
    book = bureau.office.book(ADMIN)
    assert await walked(bureau, newest=False, limit=2) == [1, 2, 3, 4, 5, 6, 7]
    size = sum(len(entry.text.raw) for entry in book._kept.values())
    assert book._bytes == size
    monkeypatch.setattr(log_book, "KEPT_S", 0.0)
    monkeypatch.setattr(log_book, "KEPT_BYTES_MAX", size // 2)
    for _ in range(3):
        assert await walked(bureau, newest=False, limit=2) == [1, 2, 3, 4, 5, 6, 7]
        kept = sum(len(entry.text.raw) for entry in book._kept.values())
        assert book._bytes == kept <= size // 2


@pytest.mark.parametrize("limit", [3, 7, 100])
async def test_what_somebody_appended_behind_our_back_is_shown_and_stays(bureau, limit):
    """Whoever verifies the log over the API must see an entry that the gateway never wrote."""
    ((_, last),) = await bureau.runtime.page(rows.ENTRY, rows.entry_key(6), 1)
    bureau.storage.durable[rows.ENTRY, rows.entry_key(8)] = replace(last, number=8)
    for _ in range(3):
        assert await walked(bureau, newest=False, limit=limit) == [1, 2, 3, 4, 5, 6, 7, 8]


async def test_a_gateway_that_cannot_answer_now_says_so(bureau, monkeypatch):
    book = bureau.office.book(ADMIN)

    def full(_):
        raise BusyError("all hands are busy")

    with monkeypatch.context() as patched:
        patched.setattr(bureau.runtime, "read", full)
        with pytest.raises(VerbError, match="all hands") as caught:
            await book.page(0, 7, newest=True)
        assert caught.value.code == "busy"
    bureau.runtime.crash()
    with pytest.raises(VerbError) as caught:
        await book.page(0, 7, newest=False)
    assert caught.value.code == "stopped"


async def test_only_whoever_may_read_the_log_reads_it(bureau):
    with pytest.raises(VerbError) as caught:
        bureau.office.book(EU)
    assert caught.value.code == "forbidden"
    assert bureau.office.book(replace(ADMIN, role=Role.SECURITY))
