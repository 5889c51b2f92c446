import pytest

from devicesdk.wire import limits
from devicesdk.wire import topics as topics_module
from devicesdk.wire.errors import BadTopic
from devicesdk.wire.topics import DEVICE_KINDS, Topics, check_device_id


def test_every_topic_parses_back_to_its_kind_and_device():
    topics = Topics("fd/acme")
    for kind in DEVICE_KINDS:
        assert topics.parse(topics.device("kiosk-0001", kind)) == (kind, "kiosk-0001")
    assert topics.parse(topics.kill) == ("kill", "")
    assert topics.parse(topics.flags("eu")) == ("flags", "eu")


def test_what_was_parsed_is_remembered_up_to_a_bound(monkeypatch):
    monkeypatch.setattr(topics_module, "PARSED_TOPICS_MAX", 3)
    topics = Topics("fd/acme")
    for turn in range(2):
        for number in range(8):
            topic = topics.device(f"d{number}", "tel")
            assert topics.parse(topic) == ("tel", f"d{number}"), f"in turn {turn}"
    assert len(topics._parsed) <= 3


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "fd/acme",
        "fd/acme/d//have",
        "fd/acme/d/x/verb",
        "fd/other/d/x/have",
        "fd/acme/d/x/have/y",
        "fd/acme/d/../have",
        "fd/acme/d/\x01 $x/have",
        "fd/acme/f/a/b",
    ],
)
def test_a_foreign_topic_is_refused_by_name(topic):
    with pytest.raises(BadTopic, match="expected"):
        Topics("fd/acme").parse(topic)


@pytest.mark.parametrize("root", ["", "a/b/c/d/e", "a+", "$sys", "x/#"])
def test_a_root_that_cannot_carry_the_topics_is_refused(root):
    with pytest.raises(BadTopic, match="root"):
        Topics(root)


@pytest.mark.parametrize("device", ["", "a/b", "a b", "+", "#", "-x", "x" * 65, "é"])
def test_a_device_id_that_is_not_one_level_is_refused(device):
    with pytest.raises(BadTopic, match="device id"):
        check_device_id(device)


def test_topics_stay_within_what_a_strict_bridge_allows():
    longest = Topics("a" * 64 + "/b/c/d").device("x" * 64, "have")
    assert longest.count("/") <= limits.TOPIC_SLASHES_MAX
    assert len(longest) <= limits.TOPIC_BYTES_MAX
    assert check_device_id("x" * 64)
    assert Topics("t").every_device("tel") == "t/d/+/tel"
