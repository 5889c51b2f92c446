"""Who may say and hear what at the broker: the one table, and its spelling for mosquitto.

Decides the users and their topics. Leaves out who a user is (a client certificate's common name, or a
name with a password). ``mosquitto/acl`` is this table for the default root; a test holds the two
together, another asks a real broker.

Rules: a device is its user: it speaks and hears only under its own name, and hears what is for all;
no device hears another; each connection of a gateway has a user that can do its work and nothing else;
whatever is not granted is refused.
"""

from __future__ import annotations

from typing import Final

from devicesdk.wire.topics import ASK, CTL, DAT, EV, GET, HAVE, LINK, ROOT_DEFAULT, TEL, WANT

DEVICE_WRITES: Final = (HAVE, LINK, GET, EV, TEL, ASK)
DEVICE_READS: Final = (WANT, DAT, CTL)
SHARED_READS: Final = ("k", "f/#", "b/#", "t/#")
"""Kill list, flags, carousel, timestamps: for every user."""

CONTROL: Final = "gateway-control"
"""The control connection of a gateway: says what devices shall want, hears nothing."""
DATA: Final = "gateway-data"
"""Its data connection: hears what devices say, sends chunks and answers."""
TRANSFERS: Final = "gateway-transfers"
COLLECT: Final = "gateway-collect"
"""For replicas that only serve chunks, or only take telemetry."""
MONITOR: Final = "gateway-monitor"
"""A gateway's ear on the broker's own counters (drops.py)."""
RECORDER: Final = "recorder"
"""For operators who record when devices come and go (`fleetdrill capture`): hears links, says nothing."""
HEALTH: Final = "health"
"""For health checks of the broker."""
ALARMS: Final = "alarms"
"""For whoever listens to alarms: no device may."""

GATEWAY_USERS: Final = (CONTROL, DATA, MONITOR)
"""What one gateway process needs. Each connection needs a user: the client id follows the user."""
SYSTEM_READERS: Final = {
    MONITOR: ("publish/messages/dropped",),
    HEALTH: ("uptime",),
    RECORDER: ("log/#", "clients/connected", "uptime"),
}
"""Who may read what of the broker's own words, below ``$SYS/broker``. Its log names devices and addresses."""

_CHUNKS: Final = (
    ("write", f"d/+/{DAT}"),
    ("write", f"d/+/{CTL}"),
    ("write", "b/+/+"),
    ("read", f"d/+/{GET}"),
)

USERS: Final[dict[str, tuple[tuple[str, str], ...]]] = {
    CONTROL: (
        ("write", f"d/+/{WANT}"),
        ("write", "k"),
        ("write", "f/+"),
        ("write", "t/timestamp"),
    ),
    DATA: (
        *_CHUNKS,
        ("write", "a/+/+"),
        *(("read", f"d/+/{kind}") for kind in (HAVE, LINK, EV, TEL, ASK)),
    ),
    TRANSFERS: _CHUNKS,
    COLLECT: (("read", f"d/+/{TEL}"),),
    RECORDER: (("read", f"d/+/{LINK}"),),
    MONITOR: (),
    HEALTH: (),
    ALARMS: (("read", "a/#"),),
}
"""User to (access, topic filter under the root)."""


def is_reserved(name: str) -> bool:
    """Whether a device of this name would have the rights of somebody else."""
    return name in USERS or name.startswith("gateway-")


def acl_text(root: str = ROOT_DEFAULT) -> str:
    """The table as mosquitto's ``acl_file`` for the tenant `root`."""
    lines = [
        "# Who may say and hear what. Generated from gateway/adapters/brokers/acl.py: change it there.",
        "# Whatever no line grants is refused.",
        "",
        "# A device: the user's name is the device's id.",
        *(f"pattern write {root}/d/%u/{kind}" for kind in DEVICE_WRITES),
        *(f"pattern read {root}/d/%u/{kind}" for kind in DEVICE_READS),
        "",
        "# For all. mosquitto warns that these patterns name no user: that is meant.",
        *(f"pattern read {root}/{topic}" for topic in SHARED_READS),
    ]
    for user, grants in USERS.items():
        lines += ["", f"user {user}"]
        lines += [f"topic {access} {root}/{topic}" for access, topic in grants]
        lines += [f"topic read $SYS/broker/{topic}" for topic in SYSTEM_READERS.get(user, ())]
    return "\n".join(lines) + "\n"
