"""Certificates: what is in them, how long they live, and what a TLS handshake makes of them."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from devicesdk.wire.errors import BadTopic
from gateway.adapters.certificates import (
    Authority,
    client_context,
    client_pair,
    make_tls,
    server_tls,
)
from gateway.adapters.keys import KeyFileError

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAYS = 30


@pytest.fixture
def tls(tmp_path):
    make_tls(tmp_path / "tls", ("broker.example", "10.0.0.7"), ("dev-1",), NOW, DAYS)
    return tmp_path / "tls"


def read(file):
    return x509.load_pem_x509_certificate(file.read_bytes())


def test_a_client_is_named_by_its_common_name_and_may_be_a_client_alone(tls):
    found = read(client_pair(tls, "dev-1").certificate)
    assert [a.value for a in found.subject.get_attributes_for_oid(NameOID.COMMON_NAME)] == ["dev-1"]
    purposes = found.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(purposes) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert not found.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    found.verify_directly_issued_by(read(tls / "ca.crt"))


def test_the_server_answers_to_its_names_and_addresses(tls):
    found = read(server_tls(tls).certificate)
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["broker.example"]
    assert [str(a) for a in names.get_values_for_type(x509.IPAddress)] == ["10.0.0.7"]
    purposes = found.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(purposes) == [ExtendedKeyUsageOID.SERVER_AUTH]


def test_lifetimes_run_from_the_instant_that_was_handed_in(tls):
    found = read(client_pair(tls, "dev-1").certificate)
    assert found.not_valid_before_utc == NOW - timedelta(hours=1)
    assert found.not_valid_after_utc == NOW + timedelta(days=DAYS)


def test_an_authority_signs_users_and_no_other_authority(tls):
    basic = read(tls / "ca.crt").extensions.get_extension_for_class(x509.BasicConstraints)
    assert (basic.value.ca, basic.value.path_length, basic.critical) == (True, 0, True)


def test_private_keys_are_readable_by_their_owner_alone(tls):
    modes = {f.name: f.stat().st_mode & 0o777 for f in tls.rglob("*.*")}
    assert modes == {
        **dict.fromkeys(("ca.key", "server.key", "dev-1.key"), 0o600),
        **dict.fromkeys(("ca.crt", "server.crt", "dev-1.crt"), 0o644),
    }


def test_nothing_is_overwritten(tls):
    before = {f: f.read_bytes() for f in tls.rglob("*.*")}
    with pytest.raises(KeyFileError, match="never overwritten"):
        make_tls(tls, ("other",), (), NOW, DAYS)
    authority = Authority.open(tls)
    with pytest.raises(KeyFileError, match=r"dev-1\.crt"):
        authority.issue_client("dev-1", NOW, DAYS)
    with pytest.raises(KeyFileError, match=r"server\.crt"):
        authority.issue_server(("other",), NOW, DAYS)
    assert before == {f: f.read_bytes() for f in tls.rglob("*.*")}


def test_an_authority_opened_later_issues_for_the_same_one(tls):
    pair = Authority.open(tls).issue_client("dev-2", NOW, DAYS)
    read(pair.certificate).verify_directly_issued_by(read(tls / "ca.crt"))


@pytest.mark.parametrize("name", ["", "../ca", "a/b", "a+b", "x" * 65])
def test_a_name_that_could_not_be_a_device_is_refused_before_anything_is_made(tmp_path, name):
    with pytest.raises(BadTopic):
        make_tls(tmp_path / "tls", ("h",), (name,), NOW, DAYS)
    assert not (tmp_path / "tls").exists()


def test_without_its_key_an_authority_cannot_be_opened(tls):
    (tls / "ca.key").unlink()
    with pytest.raises(KeyFileError, match="go where its key is kept"):
        Authority.open(tls)


def test_a_server_needs_a_name(tmp_path):
    authority = Authority.create(tmp_path / "tls", NOW)
    with pytest.raises(ValueError, match="found none"):
        authority.issue_server((), NOW, DAYS)


def test_files_that_do_not_belong_together_are_refused(tls, tmp_path):
    make_tls(tmp_path / "other", ("h",), ("dev-1",), NOW, DAYS)
    pair = client_pair(tls, "dev-1")
    pair.key.unlink()
    client_pair(tmp_path / "other", "dev-1").key.rename(pair.key)
    with pytest.raises(KeyFileError, match=r"dev-1\.key"):
        client_context(tls / "ca.crt", pair)


def handshake(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> None:
    """A TLS handshake in memory; raises what either side raises."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        server.wrap_bio(up, down, server_side=True),
        client.wrap_bio(down, up, server_hostname=name),
    ]
    for _ in range(10):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    for end in ends:
        end.do_handshake()


def demanding(tls):
    files = server_tls(tls)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    context.load_verify_locations(files.ca)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


@pytest.fixture
def fresh(tmp_path):
    now = datetime.now(UTC)  # noqa: TID251 - OpenSSL reads the calendar
    make_tls(tmp_path / "now", ("broker.example",), ("dev-1",), now, DAYS)
    return tmp_path / "now"


def test_both_ends_accept_each_other(fresh):
    context = client_context(fresh / "ca.crt", client_pair(fresh, "dev-1"))
    handshake(demanding(fresh), context, "broker.example")


def test_a_client_refuses_a_broker_of_another_name_or_authority(fresh, tls):
    context = client_context(fresh / "ca.crt", client_pair(fresh, "dev-1"))
    with pytest.raises(ssl.SSLCertVerificationError, match=r"[Hh]ostname mismatch"):
        handshake(demanding(fresh), context, "evil.example")
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(demanding(fresh), client_context(tls / "ca.crt"), "broker.example")
