"""What ends a device process before it begins; a process that lives is in tests/system."""

import msgspec
import pytest

from devicesdk.host.__main__ import main, put_together
from devicesdk.host.camera import CommandCamera, DrawnCamera, FolderCamera
from devicesdk.host.settings import Adapter, Options
from devicesdk.host.storage import Storage
from tests_kit.device_stage import trust_file


@pytest.fixture
def good(tmp_path):
    return {
        "broker": "mqtt://127.0.0.1:1",
        "device": "d-1",
        "state": str(tmp_path / "state"),
        "trust": str(trust_file(tmp_path)),
    }


def spelt(options, **change):
    return [msgspec.json.encode(Options(**{**options, **change})).decode()]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"broker": "http://x"}, "mqtt://host:port"),
        ({"device": "a/b"}, "device id"),
        ({"trust": "/no/such/file"}, "No such file"),
        ({"images": "/no/such/folder"}, "found none"),
        ({"camera": ""}, "--camera"),
        ({"camera": "x", "images": "y"}, "at most one"),
        ({"config": "/no/such/file"}, "No such file"),
        ({"state": "/proc/nowhere"}, "open /proc/nowhere"),
    ],
)
def test_options_that_cannot_be_used_end_at_once_with_a_reason(good, capsys, change, said):
    assert main(spelt(good, **change)) == 2
    assert said in capsys.readouterr().err


def test_a_device_that_runs_already_is_left_alone(good, tmp_path, capsys):
    running = Storage(tmp_path / "state")
    assert main(spelt(good)) == 2
    assert "another process" in capsys.readouterr().err
    running.close()


def test_arguments_that_nobody_spelt_are_refused(capsys):
    assert main(["{"]) == 2
    assert capsys.readouterr().err


def test_parts_are_what_the_options_say(good, tmp_path):
    (tmp_path / "a.pgm").write_bytes(b"P5 1 1 255\n\1")
    kinds = [
        ({}, DrawnCamera),
        ({"images": str(tmp_path)}, FolderCamera),
        ({"camera": "true"}, CommandCamera),
    ]
    for change, kind in kinds:
        kit = put_together(
            Options(**good, memory_mib=77, port_adapter=Adapter.AIOMQTT, speed=2.0, **change)
        )
        assert isinstance(kit.models._camera, kind)
        assert (kit.identity.device, kit.identity.memory_mib, kit.clock.speed) == ("d-1", 77, 2.0)
        kit.storage.close()
