"""Every bound of the wire protocol, with its unit last in its name.

Decides how large and how many; leaves out what happens at the bound, which the module that hits it
says (refuse, drop the newest, wait). A peer that exceeds one is answered or ignored, never crashed on.
"""

from __future__ import annotations

from typing import Final

TOPIC_BYTES_MAX: Final = 256
TOPIC_SLASHES_MAX: Final = 7
FILTERS_PER_SUBSCRIBE_MAX: Final = 8

WANT_BYTES_MAX: Final = 4 * 1024
KILL_BYTES_MAX: Final = 1024
FLAGS_BYTES_MAX: Final = 64 * 1024
MESSAGE_BYTES_MAX: Final = 64 * 1024
MANIFEST_BYTES_MAX: Final = 64 * 1024
ROOT_ROLE_BYTES_MAX: Final = 512_000
TIMESTAMP_ROLE_BYTES_MAX: Final = 16 * 1024
SNAPSHOT_ROLE_BYTES_MAX: Final = 64 * 1024
TARGETS_ROLE_BYTES_MAX: Final = 1024 * 1024
ROOT_HINT_BYTES: Final = 36
ROOT_HINTS_BYTES_MAX: Final = 256 * ROOT_HINT_BYTES
"""A device may be 256 roots behind and still catch up, one by one."""
RIDING_BYTES_MAX: Final = 4 * 1024
"""Snapshot and targets ride along with the timestamp up to this size each; larger ones are fetched."""
TRUST_HEAD_BYTES_MAX: Final = 40 * 1024
TEXT_CHARS_MAX: Final = 128
REASON_CHARS_MAX: Final = 64

CHUNK_BYTES_MIN: Final = 256
CHUNK_BYTES_DEFAULT: Final = 16 * 1024
CHUNK_BYTES_MAX: Final = 128 * 1024
ROUND_BYTES_MAX: Final = 128 * 1024
ROUNDS_OUTSTANDING_MAX: Final = 2
ROUND_CHUNKS_START: Final = 2
ROUND_CHUNKS_MAX: Final = 512
BLOB_BYTES_MAX: Final = 10 * 1024**3
BLOB_CHUNKS_MAX: Final = 2**20

REFETCH_AFTER_POWER_CUT_BYTES_MAX: Final = 64 * 1024
"""How much may be fetched again after a power cut: the chunk map is made durable this often, or with each chunk
where chunks are larger."""

DELTA_UNHASHED_BYTES_MAX: Final = REFETCH_AFTER_POWER_CUT_BYTES_MAX
"""A delta up to this size may come without a hash list: it is kept in RAM and believed as a whole."""

DEBUG_GRANT_BYTES_MAX: Final = 512
DEBUG_ROWS_BYTES_MAX: Final = 512
"""Of debug mode in one telemetry window."""

ASK_FRAMES_MAX: Final = 32
ASK_BYTES_MAX: Final = 48 * 1024
"""Pixels of one ask, or outputs of one answer."""

FRAME_HEADER_BYTES: Final = 24
DIGEST_BYTES: Final = 32
