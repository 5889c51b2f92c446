import os
import sys

import msgspec
import typer
from typer.testing import CliRunner

from devicesdk.host.cli import device_app, register
from devicesdk.host.settings import Adapter, Options


def test_run_becomes_the_device_process_with_what_was_said(monkeypatch, tmp_path):
    became = []
    monkeypatch.setattr(os, "execv", lambda program, arguments: became.append((program, arguments)))
    said = [
        "run", "--broker", "mqtts://b", "--id", "d", "--state", str(tmp_path), "--trust", "t.json",
        "--bundles", "x", "--bundles", "y", "--camera", "shoot --now", "--port-adapter", "aiomqtt",
        "--memory-mib", "512", "--username", "d", "--password-file", "p",
    ]  # fmt: skip
    assert CliRunner().invoke(device_app, said).exit_code == 0
    [(program, arguments)] = became
    assert program == sys.executable
    assert arguments[:3] == [sys.executable, "-m", "devicesdk.host"]
    options = msgspec.json.decode(arguments[3], type=Options)
    assert options == Options(
        broker="mqtts://b",
        device="d",
        state=str(tmp_path),
        trust="t.json",
        bundles=("x", "y"),
        camera="shoot --now",
        port_adapter=Adapter.AIOMQTT,
        memory_mib=512,
        username="d",
        password_file="p",
    )


def test_the_group_joins_the_command_line():
    app = typer.Typer()
    register(app)
    names = [
        command.name
        for group in app.registered_groups
        for command in group.typer_instance.registered_commands
    ]
    assert "show" in names
    assert CliRunner().invoke(device_app, ["show"]).exit_code == 2
