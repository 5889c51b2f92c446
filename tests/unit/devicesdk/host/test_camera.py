import sys

import numpy as np
import pytest

from devicesdk.host.camera import CommandCamera, DrawnCamera, FolderCamera, NoFrameError
from devicesdk.inference.runner import open_image
from devicesdk.wire.timebase import MINUTE
from tests_kit.device_stage import gauge_image

PGM = b"P5 2 2 255\n\1\2\3\4"
WRITE = "import sys, time; out = sys.stdout.buffer; "


def command(code):
    return f'"{sys.executable}" -c "{WRITE}{code}"'


def test_a_folder_is_played_in_order_and_again(tmp_path):
    (tmp_path / "b.ppm").write_bytes(b"P6 1 1 255\n\7\7\7")
    (tmp_path / "a.pgm").write_bytes(PGM)
    np.save(tmp_path / "c.npy", np.full((1, 1), 9, np.uint8))
    (tmp_path / "notes.txt").write_text("not a picture")
    camera = FolderCamera(tmp_path)
    assert [camera.frame(0).flat[0] for _ in range(4)] == [1, 7, 9, 1]


def test_a_folder_without_pictures_says_what_would_do(tmp_path):
    (tmp_path / "x.png").write_bytes(b"")
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(NoFrameError, match=r"\.pgm.*convert"):
            FolderCamera(folder)


def test_a_damaged_picture_is_no_frame_and_the_next_one_is(tmp_path):
    (tmp_path / "a.pgm").write_bytes(PGM[:-1])
    (tmp_path / "b.pgm").write_bytes(PGM)
    camera = FolderCamera(tmp_path)
    with pytest.raises(NoFrameError, match="cut short"):
        camera.frame(0)
    assert camera.frame(0).shape == (2, 2)


def test_a_command_writes_one_picture():
    code = "out.write(b'P5 2 2 255 ' + bytes([1, 2, 3, 4]))"
    assert CommandCamera(command(code), timeout_s=60.0).frame(0).tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    ("camera", "said"),
    [
        (CommandCamera("/no/such/program"), "No such file"),
        (CommandCamera(command("sys.exit(3)"), timeout_s=60.0), "exit status 0, found 3"),
        (CommandCamera(command("out.write(b'junk')"), timeout_s=60.0), "convert it first"),
        (CommandCamera(command("time.sleep(60)"), timeout_s=0.3), "within 0.3 s"),
        (CommandCamera(command("out.write(bytes(10**6)); out.flush(); time.sleep(60)"), bytes_max=9, timeout_s=60.0), "at most 9"),
        (CommandCamera("sh -c 'sleep 60 & sleep 60'", timeout_s=0.3), "within 0.3 s"),
    ],
    ids=["absent", "fails", "junk", "hangs", "endless", "children"],
)  # fmt: skip
def test_a_command_that_misbehaves_is_ended_and_is_no_frame(camera, said):
    with pytest.raises(NoFrameError, match=said):
        camera.frame(0)


def test_a_command_is_never_a_shells(tmp_path):
    target = tmp_path / "made"
    with pytest.raises(NoFrameError):
        CommandCamera(f"echo $(touch {target}); touch {target}").frame(0)
    assert not target.exists()
    with pytest.raises(ValueError, match="empty"):
        CommandCamera("  ")


def test_a_drawn_dial_is_read_by_the_shipped_model_and_its_needle_moves():
    runner = open_image(gauge_image("gauge/1.1.0"), b"", lambda _: None)
    camera = DrawnCamera(12_345)
    readings = [runner.read(camera.frame(t * MINUTE), lambda: 0)[0][0] for t in range(10)]
    assert max(readings) - min(readings) > 400, f"a needle that hardly moves: {readings}"
    assert min(readings) < 300
    assert max(readings) > 700


def test_two_devices_draw_different_dials():
    assert not np.array_equal(DrawnCamera(1).frame(0), DrawnCamera(2).frame(0))
