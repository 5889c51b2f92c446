"""Which files of a folder this process holds open."""

from __future__ import annotations

from pathlib import Path


def held_below(folder: Path) -> list[str]:
    """Names of open files below a folder, those that were removed among them."""
    found = []
    for link in Path("/proc/self/fd").iterdir():
        try:
            found.append(str(link.readlink()))
        except OSError:  # the one that lists them
            continue
    return sorted(name for name in found if name.startswith(str(folder)))
