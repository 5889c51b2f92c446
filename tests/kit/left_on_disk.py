"""What a killed device left on its disk of an image that it was fetching.

Decides what of it a kill cost: the chunks that are there, right, and not in the saved map, so that the
next life asks for them again. Leaves out what was still on its way to the process, which it never had.
"""

from __future__ import annotations

from pathlib import Path

from devicesdk.bundle.chunks import ChunkMap

MAP = "map"


def map_left(state: Path, digest: bytes, size_bytes: int, chunk_bytes: int) -> ChunkMap:
    """The saved chunk map; an empty one where it is of another blob, or not there."""
    try:
        here = ChunkMap.from_bytes((state / MAP).read_bytes())
    except FileNotFoundError:
        return ChunkMap(digest, size_bytes, chunk_bytes)
    return here if here.blob == digest else ChunkMap(digest, size_bytes, chunk_bytes)


def forgotten(slot: Path, here: ChunkMap, image: bytes) -> list[int]:
    """The chunks of `image` that are in `slot`, right, and not in the map.

    Raises:
        AssertionError: the map names a chunk that is not there.
    """
    try:
        stored = slot.read_bytes()
    except FileNotFoundError:
        stored = b""
    found, size = [], here.chunk_bytes
    for chunk in range(here.chunks):
        part = slice(chunk * size, (chunk + 1) * size)
        right = stored[part] == image[part]
        assert right or chunk not in here, f"the map names chunk {chunk}, which is not on disk"
        if right and chunk not in here:
            found.append(chunk)
    return found
