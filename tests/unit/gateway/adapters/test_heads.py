"""Kept heads in a file: appended, moved aside when full, and whole after a crash in the middle of a line."""

from gateway.adapters.heads import HeadFile


def test_lines_are_appended_and_read_in_their_order(tmp_path):
    file = HeadFile(tmp_path)
    assert file.read() == ""
    file.append("1 a\n")
    file.append("2 b\n")
    assert HeadFile(tmp_path).read() == "1 a\n2 b\n"
    assert file.path.stat().st_mode & 0o777 == 0o600


def test_a_full_file_is_moved_aside_and_the_one_before_is_forgotten(tmp_path):
    file = HeadFile(tmp_path, bytes_max=10)
    for number in range(7):
        file.append(f"{number} x\n")
    assert file.read() == "4 x\n5 x\n6 x\n"
    assert file.path.stat().st_size <= 10
    assert sorted(one.name for one in tmp_path.iterdir()) == ["audit.heads", "audit.heads.1"]


def test_a_line_that_a_crash_cut_short_does_not_take_the_next_along(tmp_path):
    file = HeadFile(tmp_path)
    file.append("1 a\n")
    with file.path.open("a") as broken:
        broken.write("2 b")
    file.append("3 c\n")
    assert file.read() == "1 a\n2 b\n3 c\n"
