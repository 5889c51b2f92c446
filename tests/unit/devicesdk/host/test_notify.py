import socket

import pytest

from devicesdk.host.notify import Supervisor


@pytest.mark.parametrize("abstract", [False, True])
def test_states_arrive_at_the_supervisors_socket(tmp_path, monkeypatch, abstract):
    name = f"@fleetdrill-test-{tmp_path.name}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as inlet:
        inlet.bind("\0" + name[1:] if abstract else name)
        inlet.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        supervisor = Supervisor()
        supervisor.say("READY=1")
        assert inlet.recv(100) == b"READY=1"


def test_without_a_supervisor_or_with_a_dead_one_nothing_happens(monkeypatch, tmp_path):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    Supervisor().say("READY=1")
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    Supervisor().say("READY=1")
