"""Samples from folders and files."""

import numpy as np
import pytest

from devicesdk.packing.errors import CannotPack
from devicesdk.packing.samples import read_samples


def test_a_folder_is_read_in_the_order_of_its_names(tmp_path):
    np.save(tmp_path / "b.npy", np.array([1.5]))
    np.savez(tmp_path / "a.npz", ids=np.arange(2))
    (tmp_path / "c.pgm").write_bytes(b"P5 1 1 255\n\x07")
    (tmp_path / "notes.txt").write_text("not a sample")
    found = read_samples(tmp_path)
    assert [sample.name for sample in found] == ["a.npz", "b.npy", "c.pgm"]
    assert found[0].frame["ids"].tolist() == [0, 1]
    assert found[2].frame.tolist() == [[7]]


def test_one_file_may_hold_many(tmp_path):
    np.save(tmp_path / "many.npy", np.arange(12.0).reshape(4, 3))
    assert [s.frame.tolist() for s in read_samples(tmp_path / "many.npy")][1] == [3.0, 4.0, 5.0]
    np.savez(tmp_path / "pairs.npz", ids=np.arange(6).reshape(3, 2), mask=np.ones((3, 2)))
    found = read_samples(tmp_path / "pairs.npz")
    assert (len(found), found[2].frame["ids"].tolist()) == (3, [4, 5])


def test_too_many_are_thinned_evenly(tmp_path):
    np.save(tmp_path / "many.npy", np.arange(100))
    assert [int(s.frame) for s in read_samples(tmp_path / "many.npy", 4)] == [0, 25, 50, 75]


@pytest.mark.parametrize(
    ("name", "content", "story"),
    [
        ("a.npy", b"torn", "expected a sample in .*a.npy"),
        ("a.png", b"\x89PNG\r\n\x1a\nxx", "a.png"),
        ("a.txt", b"", "found none"),
    ],
)
def test_a_file_that_cannot_be_read_is_no_reason_to_leave_it_out(tmp_path, name, content, story):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CannotPack, match=story):
        read_samples(tmp_path)


def test_files_that_hold_no_rows_say_so(tmp_path):
    np.savez(tmp_path / "a.npz", ids=np.zeros(3), mask=np.zeros(4))
    with pytest.raises(CannotPack, match="first axis counts"):
        read_samples(tmp_path / "a.npz")
    (tmp_path / "b.npz").write_bytes(b"torn")
    with pytest.raises(CannotPack, match=r"expected \.npy or \.npz"):
        read_samples(tmp_path / "b.npz")
    with pytest.raises(CannotPack, match="expected a folder"):
        read_samples(tmp_path / "nowhere")
