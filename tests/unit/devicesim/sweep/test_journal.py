import pytest

from devicesim.sweep.journal import JOURNAL_FILE, Journal, read_journal
from devicesim.sweep.task import Failing, Result


def result(seed):
    failing = (Failing("stuck == 0", "finally", 60.0, "expected none"),)
    return Result(
        key=str(seed), seed=seed, verdict="failed", failing=failing, outcomes={"stuck": 1.0}
    )


def test_what_was_appended_is_there_for_the_next_part(tmp_path):
    with Journal(tmp_path) as journal:
        journal.append(result(1))
    with Journal(tmp_path) as journal:
        assert journal.done == {"1": result(1)}
        journal.append(result(2))
    assert read_journal(tmp_path) == {"1": result(1), "2": result(2)}


def test_a_last_line_that_a_crash_tore_is_cut_off(tmp_path):
    with Journal(tmp_path) as journal:
        journal.append(result(1))
    path = tmp_path / JOURNAL_FILE
    path.write_bytes(path.read_bytes() + b'{"type":"result","key":"2","se')
    with Journal(tmp_path) as journal:
        assert list(journal.done) == ["1"]
        journal.append(result(3))
    assert list(read_journal(tmp_path)) == ["1", "3"]


def test_a_line_in_the_middle_that_is_no_result_is_named(tmp_path):
    path = tmp_path / JOURNAL_FILE
    path.write_bytes(b"nonsense\n")
    with pytest.raises(ValueError, match="line 1"):
        read_journal(tmp_path)
