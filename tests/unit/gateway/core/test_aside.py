"""Tables beside those of the machines."""

from gateway.core.aside import ASIDE
from gateway.core.gateway import TABLES
from gateway.core.rows import Row


def test_no_table_is_both_read_at_a_start_and_left_aside():
    assert not ASIDE.keys() & TABLES.keys()


def test_each_holds_rows_of_its_own():
    assert all(issubclass(kind, Row) for kind in ASIDE.values())
    assert len(set(ASIDE.values())) == len(ASIDE)
