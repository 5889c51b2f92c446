import errno
import os
import subprocess
import sys
from hashlib import sha256

import pytest

from devicesdk.host.storage import Storage, StorageBusyError, StorageRefused
from tests_kit.device_stage import ROOT


@pytest.fixture
def storage(tmp_path):
    made = Storage(tmp_path / "device")
    yield made
    made.close()


def files(storage):
    return sorted(path.name for path in storage.folder.iterdir())


def test_writes_land_where_they_should_and_out_of_order(storage):
    storage.write("slot-a", 4, memoryview(b"5678"))
    storage.write("slot-a", 0, b"1234")
    storage.sync("slot-a")
    assert storage.read("slot-a") == b"12345678"
    assert storage.read("slot-a", 3) == b"123"
    assert storage.digest("slot-a", 8) == sha256(b"12345678").digest()
    assert storage.digest("slot-a", 5) == sha256(b"12345").digest()


def test_a_digest_of_more_than_is_there_is_of_what_is_there(storage):
    storage.write("slot-b", 0, bytes(600_000))
    assert storage.digest("slot-b", 10**9) == sha256(bytes(600_000)).digest()
    assert storage.digest("slot-a", 10) == sha256(b"").digest()


def test_save_replaces_the_whole_file_and_leaves_nothing_beside_it(storage):
    storage.save("state", b"a long first state")
    storage.save("state", b"short")
    assert storage.read("state") == b"short"
    assert files(storage) == [".lock", "state"]
    assert storage.folder.joinpath("state").stat().st_mode & 0o077 == 0


def test_a_save_after_a_write_goes_to_the_new_file_and_so_does_the_next_write(storage):
    storage.write("map", 0, b"old")
    storage.save("map", b"new!")
    storage.write("map", 3, b"?")
    assert storage.read("map") == b"new?"


def test_what_is_not_there_is_none_and_deleting_it_is_no_error(storage):
    assert storage.read("state") is None
    storage.delete("state")
    storage.save("state", b"x")
    storage.delete("state")
    assert storage.read("state") is None
    storage.sync("slot-a")


@pytest.mark.parametrize("name", ["../state", "/etc/passwd", "a/b", "", ".lock", "State", "a" * 40])
def test_no_name_leads_outside(storage, name):
    for act in (
        lambda: storage.write(name, 0, b"x"),
        lambda: storage.save(name, b"x"),
        lambda: storage.delete(name),
        lambda: storage.read(name),
        lambda: storage.digest(name, 1),
    ):
        with pytest.raises(ValueError, match="plain file name"):
            act()


def test_no_link_leads_outside(storage, tmp_path):
    outside = tmp_path / "outside"
    outside.write_bytes(b"precious")
    (storage.folder / "slot-a").symlink_to(outside)
    with pytest.raises(StorageRefused, match="slot-a"):
        storage.write("slot-a", 0, b"overwritten")
    with pytest.raises(StorageRefused):
        storage.read("slot-a")
    storage.save("slot-a", b"a file of its own")  # the rename replaces the link, not its target
    assert outside.read_bytes() == b"precious"


def test_two_processes_cannot_run_one_device(storage):
    code = "import sys; from pathlib import Path; from devicesdk.host.storage import *\n"
    code += "try: Storage(Path(sys.argv[1]))\nexcept StorageBusyError as error: print(error)"
    ran = subprocess.run(
        [sys.executable, "-c", code, storage.folder],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert "another process" in ran.stdout, ran.stderr
    with pytest.raises(StorageBusyError):
        Storage(storage.folder)
    storage.close()
    reopened = Storage(storage.folder)
    reopened.save("state", b"mine")
    reopened.close()
    storage.__init__(storage.folder)


FULL_DISK = """
import resource, sys
from pathlib import Path
from devicesdk.host.storage import *
storage = Storage(Path(sys.argv[1]))
storage.save("state", b"old")
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
for act in (lambda: storage.write("slot-a", 0, bytes(4000)), lambda: storage.save("state", bytes(4000))):
    try: act()
    except StorageRefused as error: print(error)
storage.save("map", bytes(1000))
"""


def test_a_disk_that_takes_no_more_refuses_and_keeps_the_old_file(tmp_path):
    folder = tmp_path / "full"
    ran = subprocess.run(
        [sys.executable, "-c", FULL_DISK, folder],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines() == ["write slot-a: File too large", "save state: File too large"]
    assert (folder / "state").read_bytes() == b"old"
    assert sorted(path.name for path in folder.iterdir()) == [".lock", "map", "slot-a", "state"]


def test_a_failed_sync_is_told_and_the_file_is_opened_anew(storage):
    storage.write("slot-a", 0, b"first")
    read, write = os.pipe()  # fsync of a pipe is EINVAL: a descriptor that cannot be made durable
    os.close(write)
    os.dup2(read, storage._fds["slot-a"])
    os.close(read)
    with pytest.raises(StorageRefused, match="sync slot-a") as caught:
        storage.sync("slot-a")
    assert caught.value.__cause__.errno == errno.EINVAL
    storage.write("slot-a", 0, b"again")
    storage.sync_all()
    assert storage.read("slot-a") == b"again"


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageRefused, match="open"):
        Storage(tmp_path / "file" / "device")
