"""A log that is read a page at a time is found as sound, or as broken, as one that is read at once."""

import pytest
from msgspec.structs import replace

from gateway.core.audit.chain import verify
from gateway.core.audit.walk import FINDINGS_MAX, Walk
from tests_kit.audit_logs import AUDITOR, STRANGER, entry, log_of


def walked(log, page, head=None):
    """What a round finds, and how many pages it read."""
    walk, pages = Walk(head or log.head), 1
    while walk.take([row for row in log.rows if row.number > walk.last][:page]):
        pages += 1
        assert pages < 100, "it goes on for ever"
    return walk.end(AUDITOR), pages


@pytest.mark.parametrize("count", [0, 1, 4, 5])
def test_a_sound_log_is_sound_in_pages_of_any_size(count):
    for page in (1, 2, 100):
        assert walked(log_of(count), page)[0] == []


def test_entries_that_come_meanwhile_wait_for_the_next_round():
    log = log_of(3)
    head = log.head
    log.write(entry(4), entry(5))
    assert walked(log, 2, head)[0] == []


def edited(log):
    key = sorted(log.entries)[1]
    log.entries[key] = replace(log.entries[key], actor="nobody")


def removed(log):
    del log.entries[sorted(log.entries)[1]]


def cut(log):
    for key in sorted(log.entries)[3:]:
        del log.entries[key]


def emptied(log):
    log.entries.clear()


def forged(log):
    log.head = replace(log.head, envelope=STRANGER.seal(b"x"))


@pytest.mark.parametrize("harm", [edited, removed, cut, emptied, forged])
def test_what_is_wrong_is_found_as_by_reading_it_whole(harm):
    log = log_of(5)
    harm(log)
    whole = verify(log.rows, log.head, AUDITOR)
    assert whole, "expected harm"
    for page in (1, 2, 100):
        assert walked(log, page)[0] == whole


def test_a_log_that_is_nothing_but_harm_is_told_shortly():
    log = log_of(40)
    for key in sorted(log.entries)[::2]:
        del log.entries[key]
    assert len(walked(log, 7)[0]) == FINDINGS_MAX
