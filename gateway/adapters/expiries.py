"""When certificates end.

Decides which files of a folder are looked at, and that of a chain the first to end counts. Leaves out what is near.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from cryptography import x509

FILE_BYTES_MAX = 1024 * 1024


def certificate_ends(file: Path) -> datetime:
    """When the first certificate in a PEM file ends, UTC.

    Raises:
        ValueError: it holds none.
        OSError: it cannot be read.
    """
    with file.open("rb") as held:
        found = x509.load_pem_x509_certificates(held.read(FILE_BYTES_MAX))
    return min(one.not_valid_after_utc for one in found)


def certificates_in(folder: Path) -> list[Path]:
    """The authority, and what a gateway shows to its broker, in a folder as ``keys init --tls`` makes it."""
    clients = (folder, folder / "clients")
    return sorted(
        {*folder.glob("*.crt"), *(f for one in clients for f in one.glob("gateway-*.crt"))}
    )
