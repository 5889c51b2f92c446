"""Cursors: opaque, of one list each, refused when they are something else."""

import pytest

from gateway.api.paging import after_of, cursor_of, number_after, page
from gateway.runtime.verbs import VerbError


def test_a_cursor_goes_on_where_the_page_ended():
    assert after_of("devices", cursor_of("devices", "käse/1")) == "käse/1"
    assert after_of("devices", "") == ""
    assert cursor_of("devices", None) is None
    assert number_after("audit", cursor_of("audit", "17")) == 17


@pytest.mark.parametrize("cursor", ["x", "AAAA", "W10", "WzEsMl0", "WyJkZXZpY2VzIl0", "_" * 99])
def test_what_is_no_cursor_is_refused(cursor):
    with pytest.raises(VerbError, match="expected a cursor") as caught:
        after_of("devices", cursor)
    assert caught.value.code == "invalid"


def test_a_cursor_of_another_list_is_refused():
    with pytest.raises(VerbError, match="expected a cursor"):
        after_of("devices", cursor_of("bundles", "a"))
    for number in ("-1", "x", "9" * 16, "²"):
        with pytest.raises(VerbError, match="expected a cursor"):
            number_after("audit", cursor_of("audit", number))


def test_pages_have_every_item_once():
    items = [f"{number:02d}" for number in range(10)]
    for limit in (1, 3, 10, 11):
        found, after = [], ""
        while after is not None:
            some, after = page(items, str, after, limit)
            assert len(some) <= limit
            found += some
        assert found == items, f"pages of {limit}"
