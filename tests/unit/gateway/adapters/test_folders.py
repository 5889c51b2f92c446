"""A folder's names are synced, and nothing is left open."""

import os

import pytest

from gateway.adapters.folders import sync_folder


def test_the_folder_itself_is_synced_and_closed(tmp_path, monkeypatch):
    synced, inodes, really = [], [], os.fsync

    def fsync(handle):
        really(handle)
        synced.append(handle)
        inodes.append(os.fstat(handle).st_ino)

    monkeypatch.setattr(os, "fsync", fsync)
    sync_folder(tmp_path)
    assert inodes == [tmp_path.stat().st_ino]
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(synced[0])


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        sync_folder(tmp_path / "file")
