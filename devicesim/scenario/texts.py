"""The texts that a scenario is made of: its file, and all that it extends.

Decides which files these are, how they serve again when the files themselves are gone, and their digest. Leaves
out how they become one scenario (extend.py).
"""

from __future__ import annotations

import errno
import os
from hashlib import sha256
from typing import TYPE_CHECKING

from devicesim.scenario.document import UnreadableError, read_document
from devicesim.scenario.extend import extend

if TYPE_CHECKING:
    from collections.abc import Mapping

    from devicesim.scenario.document import Document
    from devicesim.scenario.errors import Problem
    from devicesim.scenario.extend import ReadText


def bases_of(file: str, text: str, read_text: ReadText) -> dict[str, str]:
    """The texts of all that a scenario extends, by path, nearest first; empty when it extends nothing.

    Args:
        file: path of the scenario; those of its bases follow from it.
        text: of the scenario.
        read_text: reads a file.

    Raises:
        ScenarioError: a base is not to be read.
    """
    found: dict[str, str] = {}

    def record(path: str) -> str:
        found[path] = read_text(path)
        return found[path]

    try:
        document, problems = read_document(text)
    except UnreadableError:  # told by whoever loads it
        return {}
    extend(file, document, problems, record)
    return found


def reader(texts: Mapping[str, str]) -> ReadText:
    """Reads texts as if they were files still."""

    def read(path: str) -> str:
        if path not in texts:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return texts[path]

    return read


def whole_document(
    file: str, text: str, bases: Mapping[str, str]
) -> tuple[Document, list[Problem]]:
    """A scenario laid over its bases, and what is wrong with it.

    Raises:
        UnreadableError: it is no YAML.
        ScenarioError: a base is not to be read.
    """
    document, problems = read_document(text)
    return extend(file, document, problems, reader(bases)), problems


def digest_of(text: str, bases: Mapping[str, str]) -> str:
    """Digest of a scenario: of its text and of those of its bases, wherever they lie."""
    digest = sha256(text.encode())
    for base in bases.values():
        data = base.encode()
        digest.update(b"\0%d\0" % len(data))
        digest.update(data)
    return digest.hexdigest()[:16]
