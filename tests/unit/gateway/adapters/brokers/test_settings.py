"""A run's configuration against the shipped one: the same limits, line by line."""

from __future__ import annotations

import re
from pathlib import Path

from gateway.adapters.brokers import settings
from gateway.adapters.brokers.settings import RunSettings, ServerTls, run_config

FILES = Path(__file__).parents[5] / "mosquitto"
SHARED = (
    "persistence",
    "autosave_on_changes",
    "autosave_interval",
    "persistent_client_expiration",
    "max_inflight_messages",
    "max_queued_messages",
    "max_queued_bytes",
    "max_packet_size",
    "set_tcp_nodelay",
    "log_timestamp_format",
    "allow_anonymous",
    "tls_version",
    "require_certificate",
    "use_identity_as_username",
    "use_username_as_clientid",
)
LISTENER_OPTIONS = {"use_username_as_clientid", "max_connections", "max_qos", "max_topic_alias"}
"""Given ahead of the first listener, any of these opens a listener of its own on port 1883."""


def values(text):
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return dict(line.split(" ", 1) for line in lines)


def full(tmp_path, **changes):
    tls = ServerTls(ca=tmp_path / "ca", certificate=tmp_path / "crt", key=tmp_path / "key")
    made = RunSettings(port=1, tls=tls, acl=tmp_path / "acl", bind_names=True, **changes)
    return run_config(made, tmp_path)


def test_a_run_has_the_limits_of_the_shipped_configuration(tmp_path):
    ours, shipped = values(full(tmp_path)), values((FILES / "mosquitto.conf").read_text())
    assert {key: ours[key] for key in SHARED} == {key: shipped[key] for key in SHARED}


def test_a_run_saves_by_time_or_if_asked_by_changes(tmp_path):
    assert values(full(tmp_path))["autosave_on_changes"] == "false"
    ours = values(full(tmp_path, autosave_changes=1))
    assert (ours["autosave_on_changes"], ours["autosave_interval"]) == ("true", "1")


def test_no_option_of_a_listener_comes_ahead_of_the_first_one(tmp_path):
    for text in (full(tmp_path), (FILES / "mosquitto.conf").read_text()):
        ahead = text[: text.index("\nlistener") if "\nlistener" in text else 0]
        assert not LISTENER_OPTIONS & values(ahead).keys()


def test_every_line_of_the_shipped_files_is_explained():
    explained = set(re.findall(r"^\| `([a-z_]+)", (FILES / "README.md").read_text(), re.MULTILINE))
    for name in ("mosquitto.conf", "passwords.conf"):
        unexplained = values((FILES / name).read_text()).keys() - explained
        assert not unexplained, f"{name}: add to the table of mosquitto/README.md: {unexplained}"


def test_a_run_without_users_lets_anybody_in_and_says_little(tmp_path):
    ours = values(run_config(RunSettings(port=7), tmp_path))
    assert ours["listener"] == "7 127.0.0.1"
    assert (ours["allow_anonymous"], ours["connection_messages"]) == ("true", "false")
    assert not {"cafile", "acl_file", "password_file", "use_username_as_clientid"} & ours.keys()


def test_a_run_with_passwords_lets_nobody_in_without_one(tmp_path):
    made = RunSettings(port=7, passwords=tmp_path / "pw", bind_names=True, persistence=False)
    ours = values(run_config(made, tmp_path))
    assert ours["allow_anonymous"] == "false"
    assert ours["password_file"] == str(tmp_path / "pw")
    assert ours["use_username_as_clientid"] == "true"
    assert ours["persistence"] == "false"


def test_a_chunk_of_the_greatest_size_fits_twice():
    from devicesdk.wire import limits

    assert settings.PACKET_BYTES_MAX >= 2 * limits.CHUNK_BYTES_MAX
