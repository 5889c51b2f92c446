"""What a device has to keep: one sentence a rule, and how the harness exercises it.

Decides names, levels and words. Leaves out how a verdict comes about (ledger.py, watch.py, desk.py,
chapters.py). The page docs/how-to/write-your-own-device.md tells the same rules at length.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec


class Level(StrEnum):
    """How much a rule matters: a broken `must` fails the device, a broken `should` is told."""

    MUST = "must"
    SHOULD = "should"


class Rule(msgspec.Struct, frozen=True):
    """One rule of the protocol."""

    id: str
    level: Level
    sentence: str
    how: str
    """How the harness exercises it."""


def _must(name: str, sentence: str, how: str) -> Rule:
    return Rule(name, Level.MUST, sentence, how)


def _should(name: str, sentence: str, how: str) -> Rule:
    return Rule(name, Level.SHOULD, sentence, how)


_RELAY = "read on its way through --listen"

RULES: Final = (
    # -- session
    _must("S1", "It connects with clean start false and a session expiry.", _RELAY),
    _must(
        "S2",
        "Its last will says on `link`, retained with QoS 1, that this boot and session is offline.",
        f"{_RELAY}; the connection is cut",
    ),
    _must("S3", "The kill list is the first filter that it subscribes to.", _RELAY),
    _must("S4", "A SUBSCRIBE has at most 8 filters, all with QoS 1 or more.", _RELAY),
    _must(
        "S5",
        "It publishes with QoS 1, `have` and `link` retained, the others not; `tel` and `get` may "
        "have QoS 0.",
        f"{_RELAY}, or by subscribing again",
    ),
    _must(
        "S6",
        "It comes back by itself after a loss, with a larger session number.",
        "the connection is cut",
    ),
    _should("S7", "It waits before it connects again.", "the connection is cut"),
    _must("S8", "Once online it publishes `link` with online true.", "watched"),
    # -- reports
    _must("R1", "All that it publishes decodes.", "watched"),
    _must("R2", "`have` grows by (boot id, seq).", "watched"),
    _must("R3", "It answers REPORT with its `have`.", "REPORT after most other things"),
    _should(
        "R4",
        "A `ctl` with its retain flag set is ignored.",
        "a retained REPORT lies there before it subscribes: obeyed, it shows as a repeated `have`",
    ),
    _must("R5", "Within a generation the reported state goes forward only.", "watched"),
    _must("R6", "`ev` grows by (boot id, seq).", "watched"),
    _must("R7", "The end of a want is told in `ev`, with its digest.", "after each update"),
    _should("R8", "DOWNLOADING, VERIFIED and TRIAL are told in `ev`, in this order.", "update 1"),
    # -- kills and flags
    _must("K1", "A newer kill list is in force at once, and reported.", "kill list published"),
    _must("K2", "An older kill list is ignored.", "an older one is published"),
    _must(
        "K3",
        "A kill list that is not signed for the role flags is ignored.",
        "signed by another key, for another role, with a bit bent",
    ),
    _should(
        "K4",
        "While inference is killed no trial begins; the update waits and says killed.",
        "update 3 arrives under a kill",
    ),
    _should("F1", "A newer flag snapshot is in force and reported.", "flags published"),
    _must(
        "F2", "A flag snapshot that is older or not rightly signed is ignored.", "both published"
    ),
    # -- wants
    _must("W1", "A want with a newer generation is taken in and reported.", "each update"),
    _must("W2", "A want whose generation is equal or smaller is ignored.", "both published"),
    _must(
        "W3",
        "A want that is not signed for the role director is ignored.",
        "signed by another key, for another role, with a bit bent",
    ),
    _must("W4", "A want for another device is ignored.", "one is published"),
    _must("W5", "Under hold it fetches nothing and reports WAITING.", "a want with hold"),
    _must("W6", "Fields that it does not know do not disturb it.", "every want carries one"),
    _must(
        "W7",
        "A want for what runs already is COMMITTED without a request.",
        "the running digest under a new generation",
    ),
    _must(
        "W8",
        "A newer want for something else ends the requests for the older.",
        "update 3 overtakes update 2",
    ),
    # -- requests
    _must("G1", "Each request decodes, fits its blob and asks for at most 128 KiB.", "watched"),
    _must("G2", "It asks only for blobs that its newest want leads to.", "watched"),
    _must("G3", "At most two requests are outstanding.", "answers take 15 ms"),
    _must("G4", "A chunk that came intact is not asked for again.", "books of all that was sent"),
    _must("G5", "Within a transfer the request number grows.", "watched"),
    _must("G6", "Told to WAIT it asks again, and not before its time.", "WAIT of 700 ms"),
    _must(
        "G7",
        "After a transient NACK it asks again, and not at once.",
        "NACK InternalError",
    ),
    _must("G8", "After a terminal NACK it stops asking and ends the want.", "NACK Gone"),
    _must("G9", "A request that nobody answers is asked again.", "two requests are swallowed"),
    _should("G10", "It is patient for 0.7 s at least with a silent gateway.", "as G9"),
    _should(
        "G11",
        "A round that brings less than was asked for is followed at once by the next request.",
        "rounds of four chunks at most",
    ),
    _must("G12", "Frames that come twice or out of order harm nothing.", "two rounds"),
    _should(
        "G13",
        "Frames of another transfer, blob or request are not used.",
        "good chunks under wrong names",
    ),
    _must("G14", "A chunk with the wrong hash is asked for again.", "one bit bent"),
    _must("G15", "A hash list with the wrong digest is fetched again.", "one bit bent"),
    _must("G16", "After a loss the transfer goes on where it was.", "the connection is cut"),
    _must("G17", "A chunk that stays wrong ends the want as FAILED.", "chunk 0 is always bent"),
    _must("G18", "First the manifest, then the hash list, then the image.", "watched"),
    # -- installing
    _must(
        "I1",
        "A manifest that is not signed for the role targets is REJECTED, nothing more is fetched.",
        "signed by the director",
    ),
    _must("I2", "A manifest for other hardware is REJECTED.", "hardware nobody has"),
    _must("T1", "In TRIAL it reports the new digest as running and on trial.", "update 1"),
    _must("T2", "It commits no earlier than the trial's length after TRIAL.", "a trial of 4 s"),
    _must("T3", "In COMMITTED it reports the wanted digest as running for good.", "update 1"),
    # -- robustness
    _must("X1", "Garbage on each topic is survived.", "empty, random and cut payloads"),
    _must("X2", "A want of more than 4 KiB is ignored.", "a signed want of 5 KiB"),
    _must(
        "X3", "Frames and verbs that nobody waits for cause no request.", "after the last update"
    ),
)

ROLE_RULES: Final = (
    # -- trust by roles
    _must(
        "A1",
        "A newer root that is signed by the thresholds of both is followed; its keys count from then on.",
        "the keys of director and flags are rotated",
    ),
    _must(
        "A2",
        "A root below the threshold is not followed.",
        "one is named that one root key has signed",
    ),
    _must(
        "A3",
        "What a key signs that is gone from the root is ignored.",
        "a kill list and a want after the rotation",
    ),
    _must(
        "A4",
        "What targets do not list is not fetched; it waits, and goes on when they do.",
        "a want before its listing",
    ),
)
"""For devices that are enrolled with a root."""
PLAIN_ONLY: Final = ("I1",)
"""Not theirs: targets list a manifest, nobody signs it."""

BY_ID: Final = {rule.id: rule for rule in (*RULES, *ROLE_RULES)}
