"""Things that look like secrets are named by their places, and not by themselves."""

import numpy as np
import pytest

from devicesdk.bundle.guard import FINDINGS_MAX, SecretsFound, check, search

# Put together here, so that no scanner of repositories takes them for real ones.
PEM = b"-----BEGIN " + b"OPENSSH PRIVATE KEY-----"
AWS = b"AK" + b"IAIOSFODNN7EXAMPLE"
GITHUB = b"gh" + b"p_" + b"a1B2c3D4" * 5
GOOGLE = b"AI" + b"za" + b"Sy0" * 11 + b"ab"
SLACK = b"xo" + b"xb-" + b"1234567890-abc"
STRIPE = b"sk" + b"_live_" + b"4eC39HqLyjWDarjt"
JWT = b"ey" + b"JhbGciOiJIUzI1NiJ9." + b"ey" + b"JzdWIiOiIxMjM0NSJ9.abcdefghijklmno"


@pytest.mark.parametrize(
    ("secret", "kind"),
    [
        (PEM, "private key"),
        (b"-----BEGIN " + b"PRIVATE KEY-----", "private key"),
        (AWS, "AWS access key id"),
        (GITHUB, "GitHub token"),
        (GOOGLE, "Google API key"),
        (SLACK, "Slack token"),
        (STRIPE, "Stripe key"),
        (JWT, "JSON web token"),
        (b'"private_key_id": "' + b"0a" * 20 + b'"', "Google service account"),
        (b"PASSWORD=hunter2hunter2", "password or token"),
        (b'db_password: "Tr0ub4dor&3"', "password or token"),
        (b"AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG", "password or token"),
        (b"export API_KEY='Zx81kd82hhs72'", "password or token"),
    ],
)
def test_a_secret_is_found_at_its_place_and_never_repeated(secret, kind):
    content = bytes(1000) + b"\n" + secret + b"\n" + bytes(50)
    found = search("labels.txt", content)
    assert [finding.kind for finding in found] == [kind], f"in {secret!r}"
    assert 1001 <= found[0].offset < 1001 + len(secret)
    with pytest.raises(SecretsFound) as caught:
        check({"labels.txt": content, "other": b""})
    story = str(caught.value)
    assert f"labels.txt, byte {found[0].offset}: {kind}" in story
    assert secret.decode() not in story


@pytest.mark.parametrize(
    "harmless",
    [
        b"password=changeme", b"secret: ${SECRET}", b"token = <your token>", b"token_type_ids: int64 tensor",
        b"tokenizer_class: BertTokenizer", b"api_key: ********", b"the password is said at the door",
        b"secret=aaaaaaaaaaaaaaaaaaa1", b"-----BEGIN CERTIFICATE-----", b"-----BEGIN PUBLIC KEY-----",
        b"onnx::MatMul_1234", b"password=", b"AKIA is the beginning of some ids",
    ],
)  # fmt: skip
def test_what_is_none_is_let_through(harmless):
    assert search("x", harmless) == []


def test_random_weights_hold_no_secrets():
    weights = np.random.Generator(np.random.Philox(key=1)).bytes(2_000_000)
    assert search("fp32.onnx", weights) == []


def test_findings_are_bounded_and_in_the_order_of_their_places():
    found = search("x", (AWS + b" " + PEM + b"\n") * 50)
    assert len(found) == FINDINGS_MAX
    assert [f.offset for f in found] == sorted(f.offset for f in found)


def test_a_password_in_an_address_is_one_and_an_example_is_none():
    for address in (
        b"mqtts://gateway:Xy7kd92QzAA1@broker.example:8883",
        b"postgresql://ml:9f2c-Aq71-88zz@db.example/runs",
    ):
        (found,) = search("model.onnx", b"\x0a\x12tracking " + address + b"\x22")
        assert found.kind == "password in an address"
        assert found.offset == len(b"\x0a\x12tracking ")
    for example in (
        b"https://user:password@example.com",
        b"https://user:${PASSWORD}@example.com",
        b"https://example.com:8443/a@b",
        b"https://example.com/x:Xy7kd92QzAA1@y",
    ):
        assert search("README.md", example) == [], example
