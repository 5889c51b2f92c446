"""The places of the virtual hosts at which a run may make life hard (`devicesdk.wire.hardship`).

Decides their names. What each does when it acts stands in hard_device.py and hard_gateway.py.
"""

from __future__ import annotations

from typing import Final

from devicesdk.wire.hardship import Site

TIMER_LATE: Final = Site("device.timer_late", "A timer of the agent comes up to two seconds late.")
READ_SLOW: Final = Site("device.read_slow", "A small file is read up to a second later.")
FSYNC_SLOW: Final = Site(
    "device.fsync_slow", "Reading an image back waits for a slow medium, up to 30 s."
)
KIT_SLOW: Final = Site("device.kit_slow", "A kit answers up to 20 s late.")
WRITE_SPLIT: Final = Site(
    "device.write_split", "A write reaches the flash as a beginning, and then as a whole."
)
HEARD_TWICE: Final = Site("device.heard_twice", "A message of QoS 1 reaches the agent twice.")
REORDERED: Final = Site(
    "device.reordered",
    "Messages of one topic wait up to a second; those of other topics pass them.",
)
SENT_TWICE: Final = Site(
    "device.sent_twice", "A publish of QoS 1 is sent again up to 10 s later, acknowledged or not."
)
BATCH_OF_ONE: Final = Site("gateway.batch_of_one", "The gateway takes one message from its inbox.")
COMMIT_LATE: Final = Site("gateway.commit_late", "A batch waits up to a second for the store.")
TOLD_TWICE: Final = Site("gateway.told_twice", "The core hears a message of QoS 1 twice.")
CRASH_BEFORE_ACK: Final = Site(
    "gateway.crash_before_ack",
    "The process dies after the commit of what a message led to, and before its acknowledgement.",
    0.01,
)
DEADLINE_LATE: Final = Site(
    "gateway.deadline_late", "A deadline of the core comes up to two seconds late."
)
CHUNKS_TWICE: Final = Site("gateway.chunks_twice", "A round of chunks is sent twice.")
ACKS_LATE: Final = Site(
    "gateway.acks_late", "The broker's acknowledgements reach the core up to a second late."
)

SITES: Final = (
    TIMER_LATE,
    READ_SLOW,
    FSYNC_SLOW,
    KIT_SLOW,
    WRITE_SPLIT,
    HEARD_TWICE,
    REORDERED,
    SENT_TWICE,
    BATCH_OF_ONE,
    COMMIT_LATE,
    TOLD_TWICE,
    CRASH_BEFORE_ACK,
    DEADLINE_LATE,
    CHUNKS_TWICE,
    ACKS_LATE,
)
