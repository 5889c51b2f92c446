"""What a receiver is sent, and what its answers mean; over real sockets."""

import hmac
import socket
from base64 import b64decode, b64encode
from hashlib import sha256

import pytest

from gateway.adapters.keys import KeyFileError
from gateway.adapters.webhook import Posted, Webhook, WebhookError, read_secret, signature
from tests_kit.alarm_stage import SECRET, Receiver, secret_file

TIMEOUT_S = 5.0


@pytest.fixture
async def hook_of():
    made = []

    def hook_of(url, timeout_s=TIMEOUT_S):
        made.append(Webhook(url, SECRET, timeout_s))
        return made[-1]

    yield hook_of
    for hook in made:
        await hook.close()


async def test_an_event_is_sent_signed_as_the_standard_says(hook_of):
    with Receiver() as receiver:
        posted = await hook_of(receiver.url).post("evt_7", b'{"id":"evt_7"}', 1_790_000_000)
    assert posted == (Posted.TAKEN, "HTTP 204")
    (got,) = receiver.got
    assert got.headers["webhook-id"] == "evt_7"
    assert got.headers["content-type"] == "application/json"
    said = f"evt_7.{got.headers['webhook-timestamp']}.".encode() + got.body
    version, _, word = got.headers["webhook-signature"].partition(",")
    assert (version, b64decode(word)) == ("v1", hmac.new(SECRET, said, sha256).digest())


def test_the_signature_is_that_of_the_standards_own_example():
    """From the reference library's tests: standard-webhooks, libraries/python."""
    secret = b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    found = signature(
        secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, b'{"test": 2432232314}'
    )
    assert found == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize(
    ("status", "posted"),
    [
        (200, Posted.TAKEN),
        (301, Posted.LATER),
        (400, Posted.REFUSED),
        (401, Posted.LATER),
        (404, Posted.LATER),
        (422, Posted.REFUSED),
        (429, Posted.LATER),
        (503, Posted.LATER),
    ],
)
async def test_what_an_answer_means_and_redirects_are_not_followed(hook_of, status, posted):
    with Receiver(status) as receiver:
        assert await hook_of(receiver.url).post("evt_1", b"{}", 1) == (posted, f"HTTP {status}")
        assert len(receiver.got) == 1


async def test_one_that_does_not_answer_or_is_not_there_is_tried_later(hook_of):
    with Receiver() as receiver:
        receiver.hold()
        posted, words = await hook_of(receiver.url, 0.1).post("evt_1", b"{}", 1)
        assert (posted, words) == (Posted.LATER, "ReadTimeout")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/"
    assert await hook_of(url).post("evt_1", b"{}", 1) == (Posted.LATER, "ConnectError")


def test_of_its_address_only_scheme_and_host_are_shown():
    hook = Webhook("https://ann:pass@hooks.example:8443/T0KEN?key=x", SECRET, TIMEOUT_S)
    assert hook.shown == "https://hooks.example"


@pytest.mark.parametrize("url", ["ftp://a/b", "hooks.example/x", "https://", "file:///etc/passwd"])
def test_what_is_no_address_is_refused_without_being_repeated(url):
    with pytest.raises(WebhookError, match="expected webhook_url to be like https") as caught:
        Webhook(url, SECRET, TIMEOUT_S)
    assert "passwd" not in str(caught.value)


def test_a_certificate_file_that_is_none_is_said(tmp_path):
    with pytest.raises(WebhookError, match=r"expected certificates in .*ca.pem"):
        Webhook("https://a/b", SECRET, TIMEOUT_S, str(tmp_path / "ca.pem"))


def test_a_secret_is_read_from_a_file_of_its_owners(tmp_path):
    file = secret_file(tmp_path)
    assert read_secret(str(file)) == SECRET
    file.chmod(0o604)
    with pytest.raises(KeyFileError, match="only its owner"):
        read_secret(str(file))


@pytest.mark.parametrize("text", ["", "whsec_", "whsec_!!", "hunter2", "whsec_" + b64encode(bytes(9)).decode()])  # fmt: skip
def test_what_is_no_secret_is_refused_without_being_repeated(tmp_path, text):
    file = secret_file(tmp_path)
    file.write_text(text)
    with pytest.raises(WebhookError, match="24 to 64 bytes") as caught:
        read_secret(str(file))
    assert "hunter2" not in str(caught.value)


def test_a_missing_secret_is_said_with_the_way_to_one(tmp_path):
    with pytest.raises(WebhookError, match="openssl rand"):
        read_secret("")
    with pytest.raises(WebhookError, match=r"nowhere.*No such file"):
        read_secret(str(tmp_path / "nowhere"))


@pytest.mark.parametrize(
    "url",
    [
        "http://[::1",
        "http://127.0.0.1:99999/x",
        "http://a\x7fb/",
        "https://xn--/",
        "http://ex ample/",
        "http://a:0/",
    ],
)
def test_an_address_to_which_nothing_can_be_sent_is_refused_at_the_beginning(url):
    """Else the first alarm would find out, and nobody would hear of it."""
    with pytest.raises(WebhookError, match="expected webhook_url to be like https://host/path"):
        Webhook(url, SECRET, TIMEOUT_S)
