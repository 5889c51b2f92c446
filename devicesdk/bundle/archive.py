"""A bundle as one file: the same contents give the same bytes, and nothing else is taken for one.

Decides names and order of the members, and every byte around them. Leaves out what they mean
(source.py, manifest.py), compression (weights hardly shrink; deltas and the transport see to bytes) and
the disk: reading returns contents by name and writes nothing anywhere.

Format: a zip (PKWARE APPNOTE 6.3) that any unzip opens, restricted until there is one way to write it::

    manifest.json      canonical JSON, as signed
    manifest.sig       the `Signed` envelope around it, if anybody has signed
    bundle.json        the description
    sbom.json          CycloneDX, with a model card
    pre/...  kit/...  variants/...

Members are sorted in that order and then by name, stored, dated 1980-01-01, of one mode, without extra
fields or comments.

Rules: a reader judges every name and size before it touches content; it then writes what it has read
again and compares: whatever a hostile writer hides (gaps, overlaps, a second header, data behind the
end), the bytes differ and the archive is refused. Each refusal says what was expected, what was found
and what to do, and carries one word for programs (`BadArchive.reason`).
"""

from __future__ import annotations

import io
import re
import stat
import zipfile
from collections.abc import Callable
from typing import Final

from devicesdk.bundle.source import FILE_BYTES_MAX, SourceError

MEMBERS_MAX: Final = 256
ARCHIVE_BYTES_MAX: Final = 512 * 1024 * 1024
MANIFEST_FILE: Final = "manifest.json"
SIGNATURE_FILE: Final = "manifest.sig"
SBOM_FILE: Final = "sbom.json"
SUFFIX: Final = ".zip"
FOLDERS: Final = ("kit", "pre", "variants")

_TOP: Final = (MANIFEST_FILE, SIGNATURE_FILE, "bundle.json", SBOM_FILE)
_NAME: Final = re.compile(
    "(?:" + "|".join(map(re.escape, _TOP)) + r"|(?:kit|pre|variants)/[a-z0-9][a-z0-9._-]{0,63})"
)
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
_MODE: Final = (stat.S_IFREG | 0o644) << 16
_UNIX: Final = 3
_VERSION: Final = 20
_ENCRYPTED: Final = 0x1


class BadArchive(SourceError):
    """The bytes are not a bundle's archive; `reason` is one word for programs."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def pack(members: dict[str, bytes]) -> bytes:
    """Write an archive.

    Args:
        members: contents by name; the order does not matter.

    Raises:
        BadArchive: a name is not one of a bundle's, or something is too large.
    """
    if len(members) > MEMBERS_MAX:
        raise _crowded(len(members))
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED, allowZip64=False) as archive:
        for name in sorted(members, key=_rank):
            _check_name(name)
            _check_size(name, len(members[name]))
            archive.writestr(_header(name), members[name])
    packed = stream.getvalue()
    _check_whole(len(packed))
    return packed


def unpack(packed: bytes) -> dict[str, bytes]:
    """Read an archive: contents by name, in the archive's order.

    Raises:
        BadArchive: it is not exactly what `pack` writes; `reason` is one of ``size``, ``corrupt``, ``name``,
            ``duplicate``, ``symlink``, ``compressed``, ``encrypted``, ``crowded``, ``strange``.
    """
    _check_whole(len(packed))
    try:
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            listed = archive.infolist()
            _check_members(listed, len(packed))
            members = {info.filename: _content(archive, info) for info in listed}
    except BadArchive:
        raise
    except (zipfile.BadZipFile, OSError, EOFError, ValueError, NotImplementedError, RuntimeError) as error:  # fmt: skip
        raise BadArchive(
            "corrupt",
            f"expected a bundle's archive of {len(packed)} bytes, found a damaged one ({error}): it was cut "
            "short or altered on its way; fetch or build it again",
        ) from error
    if pack(members) != packed:
        raise BadArchive(
            "strange",
            "expected the very bytes that the bundle tool writes for these contents, found others: "
            "something is hidden in it, or another program packed it; build it again",
        )
    return members


def file_reader(members: dict[str, bytes]) -> Callable[[str, int], bytes]:
    """Reads files by their plain names, as `source.read_release` wants them.

    Raises (when it is called):
        SourceError: there is no such file.
    """
    plain = {name.rpartition("/")[2]: content for name, content in members.items()}
    if len(plain) != len(members):
        raise BadArchive(
            "duplicate", "expected files of different names, found two of the same in two folders"
        )

    def read(name: str, bytes_max: int) -> bytes:
        content = plain.get(name)
        if content is None:
            raise SourceError(
                f"expected the file {name} in the bundle, found {sorted(plain)}; build it again"
            )
        return content[:bytes_max]

    return read


def archive_name(bundle: str, version: str, variant: str, machine: str) -> str:
    """What an archive is called, such as ``gauge-1.8.0-int8-rr-arm64.zip``."""
    return f"{bundle}-{version}-{variant}-{machine}{SUFFIX}"


def _rank(name: str) -> tuple[int, str]:
    return (_TOP.index(name) if name in _TOP else len(_TOP), name)


def _header(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _EPOCH)
    info.create_system, info.create_version, info.extract_version = _UNIX, _VERSION, _VERSION
    info.external_attr = _MODE
    info.compress_type = zipfile.ZIP_STORED
    return info


def _check_whole(size_bytes: int) -> None:
    if size_bytes > ARCHIVE_BYTES_MAX:
        raise BadArchive(
            "size", f"expected an archive of at most {ARCHIVE_BYTES_MAX} bytes, found {size_bytes}"
        )


def _crowded(count: int) -> BadArchive:
    return BadArchive("crowded", f"expected at most {MEMBERS_MAX} files in a bundle, found {count}")


def _check_members(listed: list[zipfile.ZipInfo], packed_bytes: int) -> None:
    if len(listed) > MEMBERS_MAX:
        raise _crowded(len(listed))
    seen: dict[str, None] = {}
    for info in listed:
        _check_name(info.orig_filename)
        if info.filename in seen:
            raise BadArchive(
                "duplicate",
                f"expected each file once, found {info.filename!r} twice: readers would disagree about "
                "which one counts",
            )
        seen[info.filename] = None
        _check_info(info)
    declared = sum(info.file_size for info in listed)
    if declared > packed_bytes:
        raise BadArchive(
            "size",
            f"expected stored files within {packed_bytes} bytes, found {declared} declared: they "
            "overlap or are compressed",
        )


def _check_info(info: zipfile.ZipInfo) -> None:
    name, mode = info.filename, info.external_attr >> 16
    if stat.S_ISLNK(mode) or (mode and not stat.S_ISREG(mode)):
        raise BadArchive(
            "symlink",
            f"expected ordinary files, found {name!r} of kind {stat.filemode(mode)!r}: a link could lead "
            "out of the bundle",
        )
    if info.flag_bits & _ENCRYPTED:
        raise BadArchive("encrypted", f"expected files in the clear, found {name!r} encrypted")
    _check_size(name, max(info.file_size, info.compress_size))
    if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size:
        raise BadArchive(
            "compressed",
            f"expected stored files, found {name!r} with {info.compress_size} bytes that claim to become "
            f"{info.file_size}; pack it with the bundle tool",
        )


def _check_name(name: str) -> None:
    if _NAME.fullmatch(name) is None:
        raise BadArchive(
            "name",
            f"expected {', '.join(_TOP)} or a plain name of small letters in one of the folders "
            f"{', '.join(FOLDERS)}, found {name[:80]!r}: nothing is unpacked from it",
        )


def _check_size(name: str, size_bytes: int) -> None:
    if size_bytes > FILE_BYTES_MAX:
        raise BadArchive(
            "size", f"expected at most {FILE_BYTES_MAX} bytes in {name}, found {size_bytes}"
        )


def _content(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    with archive.open(info) as stream:
        content = stream.read(info.file_size + 1)
    if len(content) != info.file_size:
        raise BadArchive(
            "corrupt",
            f"expected {info.file_size} bytes in {info.filename}, found {len(content)}",
        )
    return content
