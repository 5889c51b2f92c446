"""When certificates end, and which are looked at."""

from datetime import UTC, datetime, timedelta

import pytest

from gateway.adapters.certificates import Authority
from gateway.adapters.expiries import certificate_ends, certificates_in

NOW = datetime(2026, 5, 1, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path):
    authority = Authority.create(tmp_path / "tls", NOW)
    authority.issue_server(("localhost",), NOW, 90)
    for user in ("gateway-control", "gateway-data", "kiosk-1"):
        authority.issue_client(user, NOW, 30)
    return tmp_path / "tls"


def test_of_a_chain_the_first_to_end_counts(folder, tmp_path):
    chain = tmp_path / "chain.pem"
    chain.write_bytes((folder / "ca.crt").read_bytes() + (folder / "server.crt").read_bytes())
    assert certificate_ends(chain) == certificate_ends(folder / "server.crt")
    left = certificate_ends(chain) - NOW
    assert timedelta(days=89) < left <= timedelta(days=90)


def test_what_is_no_certificate_is_refused(tmp_path):
    file = tmp_path / "x.pem"
    file.write_text("nothing")
    with pytest.raises(ValueError, match=r".+"):
        certificate_ends(file)
    with pytest.raises(OSError, match="No such file"):
        certificate_ends(tmp_path / "nowhere")


def test_a_folder_of_certificates_is_the_gateways_own_not_its_devices(folder):
    names = [file.name for file in certificates_in(folder)]
    assert names == ["ca.crt", "gateway-control.crt", "gateway-data.crt", "server.crt"]
    assert certificates_in(folder / "nowhere") == []
