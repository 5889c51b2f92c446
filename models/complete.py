"""Complete the bundles whose models contain other people's weights, from the installed wheels.

Run from the checkout, in an environment with the extras ``audio`` and ``text`` (either will do for its own)::

    PYTHONPATH=. python models/complete.py

Decides nothing: each description in version control says which file it wants, with its SHA-256; here the
file is composed of the wheel's weights and ours, and written only when it is that one. A file that is
there and right is left alone.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Final

import onnx
import sentences
import spoken
from spoken import MissingWheel

from devicesdk.inference.source import decode_spec

HERE: Final = Path(__file__).parent


def _keyword(root: Path) -> onnx.ModelProto:
    return spoken.compose(spoken.head_of(onnx.load(root / "words" / "head.onnx")))


MAKERS: Final[dict[str, Callable[[Path], onnx.ModelProto]]] = {
    "keyword/1.0.0": _keyword,
    "notes/1.0.0": lambda _: sentences.compose(2),
    "notes/1.1.0": lambda _: sentences.compose(sentences.LAYERS),
}
EXTRAS: Final = {"keyword/1.0.0": "audio", "notes/1.0.0": "text", "notes/1.1.0": "text"}


class OtherBytes(RuntimeError):
    """What was composed is not what the description names."""


def complete(root: Path, bundle: str) -> Path:
    """Write the model file of one bundle, unless it is there; returns its path.

    Raises:
        MissingWheel: the extra is not installed, or has other weights.
        OtherBytes: the composition has changed: the bundle must be built (and released) anew.
    """
    directory = root / bundle
    record = decode_spec((directory / "bundle.json").read_bytes()).variants["fp32"]
    path = directory / record.file
    if path.is_file() and sha256(path.read_bytes()).hexdigest() == record.sha256:
        return path
    content = MAKERS[bundle](root).SerializeToString()
    found = sha256(content).hexdigest()
    if found != record.sha256:
        raise OtherBytes(
            f"expected {bundle} to compose to SHA-256 {record.sha256}, found {found}; build the "
            "bundle again with its build script and release it under a new version"
        )
    half = path.with_suffix(f".{os.getpid()}.half")  # somebody else may be completing it as well
    half.write_bytes(content)
    half.replace(path)
    return path


def main() -> int:
    """Complete what can be completed; 1 where a wheel is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundles", nargs="*", default=list(MAKERS), help="such as notes/1.1.0")
    missing = 0
    for bundle in parser.parse_args().bundles:
        try:
            print(complete(HERE, bundle))
        except MissingWheel as error:
            missing = 1
            print(f"{bundle}: {error}", file=sys.stderr)
    return missing


if __name__ == "__main__":
    sys.exit(main())
