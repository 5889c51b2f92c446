"""The configuration: defaults, a file, the environment, and what is refused."""

import pytest

from gateway.config import Config, ConfigError, load_config

FILE = """
[gateway]
root = "fd/plant-7"
[broker]
url = "mqtts://broker.example:8883"
keepalive_s = 15
[transfers]
active_max = 12
[control]
region_labels = ["site", "region"]
[runtime]
group_commit_s = 0.5
"""


def test_without_anything_it_is_the_default():
    assert load_config() == Config()
    assert load_config(env={"HOME": "/root", "PATH": "/bin"}) == Config()


def test_a_file_sets_what_it_names_and_the_core_gets_its_limits():
    config = load_config(FILE)
    assert config.broker.url == "mqtts://broker.example:8883"
    assert config.broker.keepalive_s == 15
    assert config.runtime.group_commit_s == 0.5
    core = config.core()
    assert core.root == "fd/plant-7"
    assert core.transfers.active_max == 12
    assert core.control.region_labels == ("site", "region")
    assert not core.said_only
    assert config.transfers.lease_ns == Config().transfers.lease_ns


def test_where_rollouts_must_be_rehearsed_devices_go_back_to_what_they_said_alone():
    found = {
        gate: load_config(f"[rehearsal]\ngate = '{gate}'").core().said_only
        for gate in ("off", "advised", "required")
    }
    assert found == {"off": False, "advised": False, "required": True}


def test_the_environment_overrides_the_file_with_the_same_types():
    env = {
        "FLEETDRILL_BROKER_KEEPALIVE_S": "60",
        "FLEETDRILL_BROKER_PASSWORD": "s3cret",
        "FLEETDRILL_LOG_JSON": "true",
        "FLEETDRILL_CONTROL_REGION_LABELS": "a,b",
        "FLEETDRILL_RUNTIME_DRAIN_S_MAX": "2.5",
    }
    config = load_config(FILE, env)
    assert config.broker.keepalive_s == 60
    assert config.broker.password == "s3cret"
    assert config.broker.url == "mqtts://broker.example:8883", "the file's word stands beside it"
    assert config.log.json is True
    assert config.control.region_labels == ("a", "b")
    assert config.runtime.drain_s_max == 2.5


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[brokr]", "a section in f.toml, found [brokr]: did you mean broker?"),
        ("broker = 3", "expected a section [broker] in f.toml, found 3"),
        ("[broker]\nulr = 'x'", "a key of [broker] in f.toml, found 'ulr': did you mean url?"),
        ("[log]\nxyzzy = 1", "found 'xyzzy': there are level, json"),
        ("[broker]\nkeepalive_s = 1", "[broker] of f.toml: Expected `int` >= 5"),
        ("[broker]\nkeepalive_s = '60'", "Expected `int`, got `str` - at `$.keepalive_s`"),
        ("[control]\nroot = 'x'", "a key of [control] in f.toml, found 'root'"),
        ("[broker\n", "expected TOML in f.toml"),
        ("# " + "x" * 2_000_000, "expected at most"),
    ],
)
def test_what_is_wrong_in_a_file_is_said(text, said):
    with pytest.raises(ConfigError) as caught:
        load_config(text, name="f.toml")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("variable", "word", "said"),
    [
        ("FLEETDRILL_BROKER_ULR", "x", "did you mean FLEETDRILL_BROKER_URL?"),
        ("FLEETDRILL_BROKER_KEEPALIVE_S", "soon", "FLEETDRILL_BROKER_KEEPALIVE_S"),
        ("FLEETDRILL_LOG_LEVEL", "LOUD", "FLEETDRILL_LOG_LEVEL"),
    ],
)
def test_what_is_wrong_in_the_environment_is_said(variable, word, said):
    with pytest.raises(ConfigError) as caught:
        load_config(env={variable: word})
    assert said in str(caught.value)


def test_a_password_that_cannot_be_one_is_not_repeated():
    with pytest.raises(ConfigError) as caught:
        load_config(env={"FLEETDRILL_BROKER_RECEIVE_MAXIMUM": "s3cret"})
    assert "s3cret" not in str(caught.value)


def test_alarms_are_on_and_the_core_gets_their_thresholds():
    said = "[alarms]\nbroker_s = 5\noff = ['drift']\nwebhook_url = 'https://a/b'\nmqtt = true\n"
    limits = load_config(said).core().alarms
    assert (limits.broker_ns, limits.off) == (5 * 10**9, ("drift",))
    assert (limits.webhook, limits.mqtt) == (True, True)
    assert load_config("[alarms]\nenabled = false").core().alarms is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("offline_percent_clear = 30", "clears offline below 20, which raises it, found 30"),
        ("off = ['drfit']", "expected kinds of alarms in off, found 'drfit'"),
        ("webhook_urk = 'x'", "did you mean webhook_url?"),
        ("each_max = 0", "expected other values in [alarms]"),
    ],
)
def test_alarms_that_cannot_be_are_refused(text, said):
    with pytest.raises(ConfigError) as caught:
        load_config(f"[alarms]\n{text}")
    assert said in str(caught.value)
