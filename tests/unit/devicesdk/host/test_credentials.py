"""Credentials of the moment: fetched before each connect, never told to anybody else."""

import logging
import ssl
import sys
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from devicesdk.aio.port import Endpoint
from devicesdk.host.credentials import CredentialError, Credentials, first_line

NOW = datetime(2026, 6, 1, tzinfo=UTC)
NOW_MS = int(NOW.timestamp()) * 1000


def python(code):
    return f'{sys.executable} -c "{code}"'


def certificate(folder, ends, name="device"):
    """A self-signed certificate and its key, as files."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(subject)
        .public_key(key.public_key()).serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=1)).not_valid_after(ends).sign(key, hashes.SHA256())
    )  # fmt: skip
    pem = serialization.Encoding.PEM
    (folder / "device.crt").write_bytes(made.public_bytes(pem))
    (folder / "device.key").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


def test_a_password_is_fetched_before_each_connect_and_not_kept(tmp_path):
    counter = tmp_path / "count"
    counter.write_text("0")
    code = f"p='{counter}'; n=int(open(p).read())+1; open(p,'w').write(str(n)); print('secret',n)"
    found = Credentials(lambda: 0, password_command=python(code))
    endpoint = Endpoint(username="kiosk", refresh=found.refresh)
    assert [endpoint.now().password for _ in range(2)] == ["secret 1", "secret 2"]
    assert endpoint.password is None


@pytest.mark.parametrize(
    "code",
    [
        "raise SystemExit(3)",
        "print()",
        "print('x'*20000)",
        "import sys; sys.stdout.buffer.write(b'\\xff')",
    ],
)
def test_what_could_not_be_fetched_is_said_without_what_it_was(code, caplog):
    found = Credentials(lambda: 0, password_command=python(code))
    with caplog.at_level(logging.WARNING):
        assert found.refresh(Endpoint(username="kiosk")).password is None
    assert "password=missing" in caplog.text
    assert "xxx" not in caplog.text


def test_a_program_that_is_not_there_is_said():
    found = Credentials(lambda: 0, password_command="/no/such/program")
    assert found.refresh(Endpoint(username="kiosk")).password is None


@pytest.mark.parametrize("command", ["", "'unfinished"])
def test_a_command_that_is_none_is_refused(command):
    with pytest.raises(CredentialError, match="expected"):
        Credentials(lambda: 0, password_command=command)


def renewing(folder):
    """A command that says it was asked, and puts the certificate that lies ready into its place."""
    code = (
        f"import shutil; shutil.copy('{folder}/new/device.crt','{folder}'); "
        f"shutil.copy('{folder}/new/device.key','{folder}'); open('{folder}/asked','a').write('x')"
    )
    return Credentials(
        lambda: NOW_MS,
        renew_command=python(code),
        certificate=str(folder / "device.crt"),
        key=str(folder / "device.key"),
    )


@pytest.mark.parametrize(
    ("left", "asked"), [(timedelta(minutes=10), "x"), (timedelta(hours=2), "")]
)
def test_a_certificate_is_renewed_when_it_ends_soon_and_then_used(tmp_path, left, asked):
    (tmp_path / "new").mkdir()
    certificate(tmp_path, NOW + left)
    certificate(tmp_path / "new", NOW + timedelta(days=1))
    context = ssl.create_default_context()
    found = renewing(tmp_path)
    for _ in range(2):
        found.refresh(Endpoint(tls=context))
    said = tmp_path / "asked"
    assert (said.read_text() if said.exists() else "") == asked
    assert found._loaded == (tmp_path / "device.crt").read_bytes()


def test_a_device_that_has_no_certificate_yet_fetches_its_first(tmp_path):
    (tmp_path / "new").mkdir()
    certificate(tmp_path / "new", NOW + timedelta(days=1))
    found = renewing(tmp_path)
    found.refresh(Endpoint(tls=ssl.create_default_context()))
    assert found._loaded


def test_a_renewal_that_fails_keeps_the_old_one(tmp_path, caplog):
    certificate(tmp_path, NOW + timedelta(minutes=10))
    found = renewing(tmp_path)
    found.refresh(Endpoint(tls=ssl.create_default_context()))
    assert "certificate=kept" in caplog.text


def test_the_first_line_counts():
    assert first_line(b"one\ntwo\n") == "one"
