import json
import subprocess

import pytest

from devicesdk.agent.backoff_policies import POLICIES
from devicesdk.agent.config import AgentConfig
from devicesdk.bundle.trust import ROLE_DIRECTOR
from devicesdk.host.settings import (
    Options,
    SettingsError,
    machine_memory_mib,
    read_config,
    read_endpoint,
    read_trust,
    seed_of,
)
from tests_kit.agent_bundles import SIGNERS
from tests_kit.device_stage import trust_file


def options(broker="mqtt://broker", **more):
    return Options(broker=broker, device="d", state="s", trust="t", **more)


def test_trust_is_what_opens_what_was_signed(tmp_path):
    verifier = read_trust(str(trust_file(tmp_path))).verifier()
    assert verifier.open(ROLE_DIRECTOR, SIGNERS[ROLE_DIRECTOR].seal(b"want")) == b"want"


KEY = "a" * 64
WHOLE = {"targets": [KEY], "director": [KEY], "flags": [KEY]}


@pytest.mark.parametrize(
    "found",
    [
        [],
        {**WHOLE, "targets": []},
        {**WHOLE, "targets": ["zz"]},
        {"flags": [KEY]},
        {**WHOLE, "x": 1},
    ],
)
def test_trust_that_says_something_else_is_refused_with_the_form_it_should_have(tmp_path, found):
    path = tmp_path / "trust.json"
    path.write_text(json.dumps(found))
    with pytest.raises(SettingsError, match="64 hex"):
        read_trust(str(path))


def test_files_that_cannot_be_read_are_named(tmp_path):
    with pytest.raises(SettingsError, match=r"absent.*No such file"):
        read_trust(str(tmp_path / "absent"))
    (tmp_path / "big").write_bytes(bytes(70_000))
    with pytest.raises(SettingsError, match="at most"):
        read_trust(str(tmp_path / "big"))


def test_a_configuration_changes_what_it_names_and_nothing_else(tmp_path):
    path = tmp_path / "agent.json"
    path.write_text(json.dumps({"window_frames": 9, "backoff": {"cap_ns": 5_000_000_000}}))
    found = read_config(str(path))
    assert (found.window_frames, found.backoff.cap_ns) == (9, 5_000_000_000)
    assert found.backoff.base_ns == AgentConfig().backoff.base_ns
    assert read_config(None) == AgentConfig()


def test_a_device_may_stop_trying_for_a_while(tmp_path):
    path = tmp_path / "agent.json"
    path.write_text(json.dumps({"backoff": {"attempts_max": 5, "rest_ns": 1}}))
    assert read_config(str(path)).backoff.rest_ns == 1
    path.write_text(json.dumps({"backoff": "aws-embedded-c"}))
    assert read_config(str(path)).backoff.attempts_max == 5


@pytest.mark.parametrize("said", ["hivemq", {"policy": "hivemq"}])
def test_a_back_off_may_be_named(tmp_path, said):
    path = tmp_path / "agent.json"
    path.write_text(json.dumps({"backoff": said}))
    assert read_config(str(path)).backoff == POLICIES["hivemq"].config
    path.write_text(json.dumps({"backoff": {"policy": "hivemq", "cap_ns": 7 * 10**9}}))
    assert read_config(str(path)).backoff.cap_ns == 7 * 10**9
    assert read_config(str(path)).backoff.above_permille == 250


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"backoff": "pigeon"}, "back-off policy: paho-python"),
        ({"window_frame": 9}, "found window_frame"),
        ({"backoff": {"cap": 9}}, r"found backoff\.cap"),
        ({"window_ns": "15m"}, "agent configuration"),
        ([], "agent configuration"),
        ({"answer_after_ns": -1}, r"answer_after_ns from 0 to 3600000000000.*found -1"),
        ({"answer_spread_ns": 10**15}, r"answer_spread_ns from 0 .*found 1000000000000000"),
        ({"backoff": {"attempts_max": 5}}, r"rest_ns above 0.*attempts_max of 5.*set "),
        ({"backoff": {"policy": "aws-embedded-c", "rest_ns": 0}}, r"rest_ns above 0"),
        ({"backoff": {"attempts_max": 5, "rest_ns": -1}}, r"backoff\.rest_ns from 0 to .*found -1"),
        (
            {"keepalive_ns": -1},
            r"keepalive_ns from 1000000000 \(1s\) to 6553.*\(18h12m15s\), found -1",
        ),
        ({"keepalive_ns": 10**14}, r"found 100000000000000"),
        ({"publishes_in_flight_max": 0}, r"publishes_in_flight_max from 1 to 32, found 0"),
        ({"backoff": {"cap_ns": 5}}, r"backoff\.cap_ns from 100000000 \(100ms\) to .*found 5"),
        ({"backoff": {"jitter": "some"}}, r"backoff\.jitter out of decorrelated, .*found 'some'"),
        ({"alarm_above_permille": 100}, r"at or below alarm_above_permille \(100\), found 850"),
        ({"segment": "a/b"}, r"segment: expected a device id.*found 'a/b'"),
        ({"root": "fd/#"}, r"root: expected a topic root.*found 'fd/#'"),
    ],
)
def test_a_misspelt_configuration_is_refused(tmp_path, content, said):
    path = tmp_path / "agent.json"
    path.write_text(json.dumps(content))
    with pytest.raises(SettingsError, match=said):
        read_config(str(path))


def test_addresses_have_the_standards_ports():
    plain, secure = read_endpoint(options()), read_endpoint(options("mqtts://[::1]"))
    assert (plain.host, plain.port, plain.tls) == ("broker", 1883, None)
    assert (secure.host, secure.port) == ("::1", 8883)
    assert secure.tls.check_hostname
    assert read_endpoint(options("mqtt://b:99")).port == 99


@pytest.mark.parametrize(
    ("broker", "more", "said"),
    [
        ("broker:1883", {}, "mqtt://host:port"),
        ("http://broker", {}, "mqtt://host:port"),
        ("mqtt://", {}, "mqtt://host:port"),
        ("mqtt://b:99999", {}, "1-65535"),
        ("mqtt://b/x", {}, "mqtt://host:port"),
        ("mqtt://me:secret@b", {}, "no credentials"),
        ("mqtt://b", {"password_file": "p"}, "--username"),
        ("mqtt://b", {"ca": "x"}, "mqtts://"),
        ("mqtts://b", {"cert": "x"}, "both or neither"),
        ("mqtts://b", {"ca": "/no/such/file"}, "PEM"),
    ],
)
def test_addresses_and_credentials_that_cannot_be_used_say_why(broker, more, said):
    with pytest.raises(SettingsError, match=said) as caught:
        read_endpoint(options(broker, **more))
    assert "secret" not in str(caught.value)


def test_a_password_comes_from_the_first_line_of_its_file(tmp_path):
    path = tmp_path / "password"
    path.write_text("right\nsecond line\n")
    found = read_endpoint(options(username="me", password_file=str(path)))
    assert (found.username, found.password) == ("me", "right")
    path.write_text("\n")
    with pytest.raises(SettingsError, match="first line"):
        read_endpoint(options(username="me", password_file=str(path)))


def test_a_certificate_of_this_device_is_loaded(tmp_path):
    cert, key = tmp_path / "c.pem", tmp_path / "k.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ed25519", "-nodes", "-subj", "/CN=d", "-days", "1",
         "-keyout", key, "-out", cert],
        check=True, capture_output=True,
    )  # fmt: skip
    found = read_endpoint(options("mqtts://b", ca=str(cert), cert=str(cert), key=str(key)))
    assert found.tls.get_ca_certs()[0]["subject"] == ((("commonName", "d"),),)


def test_seeds_are_a_devices_own_and_memory_is_this_machines():
    assert seed_of("a") == seed_of("a") != seed_of("b")
    assert 0 <= seed_of("a") < 2**64
    assert machine_memory_mib() > 100
