"""One of each message of the wire protocol, with what is worth knowing of it."""

from __future__ import annotations

from hashlib import sha256

import msgspec

from devicesdk.wire import messages
from devicesdk.wire.errors import Nack, Wait
from devicesdk.wire.messages import ControlVerb, UpdatePolicy, UpdateState, WireMessage

DEVICE = "kiosk-0001"
DIGEST = sha256(b"a manifest").digest()
BLOB = sha256(b"a blob").digest()

WANT = messages.Want(
    device=DEVICE,
    generation=7,
    deployment="spring",
    attempt=1,
    manifest=DIGEST,
    manifest_bytes=612,
    policy=UpdatePolicy(battery_percent_min=30, chip_c_max=70, plugged=True, trial_ms=20_000),
    jitter_ms=60_000,
    expires_ms=1_790_000_000_000,
    nonce=99,
    issued_ms=1_789_000_000_000,
    back=True,
)
HAVE = messages.Have(
    boot_id=12,
    seq=5,
    generation=7,
    slot="b",
    running=DIGEST,
    trial=True,
    state=UpdateState.TRIAL,
    deployment="spring",
    attempt=1,
    bytes_done=49_152,
    flags_rev=3,
    kill_version=2,
    hardware_class="rpi4",
    variant="int8",
    nonce=99,
)
GET = messages.Get(
    transfer=786_433, seq=3, blob=BLOB, base=16, count=7, bitmap=b"\x4d", credit=65_536, rtt_ms=180
)
TELEMETRY = messages.Telemetry(
    boot_id=12,
    seq=40,
    bundle=DIGEST[:8],
    flags_rev=3,
    frames=4,
    span_ms=900_000,
    confidence=bytes([0] * 18 + [1, 3]),
    entropy=bytes([4] + [0] * 15),
    latency=bytes([0] * 9 + [4] + [0] * 6),
    features=bytes([4] + [0] * 9) * 8,
    errors={"not-finite": 1},
    throttled=1,
    chip_c=61,
    battery_percent=83,
    probe_residual=12,
    kll=b"\x01",
    hll=b"\x02",
)
FLAGD = (
    b'{"flags":{"gauge":{"defaultVariant":"on","state":"ENABLED",'
    b'"variants":{"off":false,"on":true}}}}'
)

MESSAGES: dict[str, tuple[str, WireMessage]] = {
    "want": ("All fields but `dl`.", WANT),
    "want-delta": (
        "What runs can be made into what is wanted.",
        messages.Want(
            device=DEVICE,
            generation=9,
            deployment="summer",
            manifest=DIGEST,
            manifest_bytes=612,
            delta=messages.DeltaRef(
                encoder=3,
                base=sha256(b"an older image").digest(),
                target=sha256(b"an image").digest(),
                blob=BLOB,
                size_bytes=90_000,
                chunk_bytes=4_096,
                hashes=sha256(b"its hash list").digest(),
            ),
        ),
    ),
    "want-minimal": (
        "Required fields alone: every optional one is at its default and left out.",
        messages.Want(
            device=DEVICE, generation=1, deployment="first", manifest=DIGEST, manifest_bytes=612
        ),
    ),
    "want-hold": (
        "Stay where you are.",
        messages.Want(
            device=DEVICE,
            generation=8,
            deployment="spring",
            manifest=DIGEST,
            manifest_bytes=612,
            hold=True,
        ),
    ),
    "want-from-the-future": (
        "A field that this version does not know (`zz`) comes last and is kept.",
        msgspec.structs.replace(
            messages.Want(
                device=DEVICE, generation=1, deployment="first", manifest=DIGEST, manifest_bytes=612
            ),
            extra={"zz": [1, "two"]},
        ),
    ),
    "have": ("A trial runs.", HAVE),
    "have-fresh": ("A device that just booted and runs nothing.", messages.Have(boot_id=1, seq=1)),
    "link-online": ("Birth.", messages.Link(boot_id=12, session=3, online=True)),
    "link-will": (
        "The last will of the same session.",
        messages.Link(boot_id=12, session=3, online=False),
    ),
    "get": ("Chunks 16, 18, 19 and 22: bits 0, 2, 3 and 6 of the bitmap from base 16.", GET),
    "get-range": (
        "The first two chunks, no bitmap.",
        messages.Get(transfer=786_433, seq=1, blob=BLOB, base=0, count=2),
    ),
    "ctl-wait": (
        "Ask again in 700 ms at the earliest.",
        messages.Control(
            verb=ControlVerb.WAIT, transfer=786_433, seq=3, retry_after_ms=700, why=Wait.BUDGET
        ),
    ),
    "ctl-nack": (
        "Refused for ever.",
        messages.Control(verb=ControlVerb.NACK, transfer=786_433, seq=3, code=Nack.GONE),
    ),
    "ctl-report": ("Publish `have` again.", messages.Control(verb=ControlVerb.REPORT)),
    "ctl-answer": (
        "Outputs for two frames of an ask; these are of a model with one output.",
        messages.Control(verb=ControlVerb.ANSWER, ask=12_582_916, outputs=bytes(8)),
    ),
    "ctl-debug": (
        "Debug mode is granted; the envelope here is not a real one.",
        messages.Control(verb=ControlVerb.DEBUG, grant=b"\x81\xa1p\xc4\x00"),
    ),
    "debug-grant": (
        "For twenty minutes; heard before the instant or refused.",
        messages.DebugGrant(
            device=DEVICE,
            number=1_789_000_000_000,
            for_ms=1_200_000,
            expires_ms=1_789_001_800_000,
            by="ana",
            why="odd readings",
        ),
    ),
    "debug-revocation": (
        "Ends that grant, and keeps it out where it was not heard yet.",
        messages.DebugGrant(
            device=DEVICE,
            number=1_789_000_000_001,
            expires_ms=1_789_001_800_000,
            ends=1_789_000_000_000,
            by="ana",
            why="seen enough",
        ),
    ),
    "ask": (
        "Two frames of four pixels.",
        messages.Ask(number=12_582_916, manifest=DIGEST, frames=2, pixels=bytes(range(124, 132))),
    ),
    "have-capabilities": (
        "The first report of a boot says what the runtime can do.",
        messages.Have(
            boot_id=13,
            seq=1,
            capabilities=messages.Capabilities(
                runtime="1.23.2", providers=("CPU",), cpu=("avx2", "fma"), memory_mib=4096
            ),
        ),
    ),
    "tel-chosen": (
        "A window of a device that a run-time policy decides for.",
        messages.Telemetry(
            boot_id=12,
            seq=41,
            bundle=DIGEST[:8],
            frames=1,
            rules={"hot": 1, "ask>local": 2},
            recalibration=-2,
        ),
    ),
    "tel-debug": (
        "A window of a device in debug mode: two of its frames, eight bytes each.",
        messages.Telemetry(
            boot_id=12,
            seq=42,
            bundle=DIGEST[:8],
            frames=2,
            debug_grant=1_789_000_000_000,
            debug=bytes.fromhex("0f1200012345670010120001234567ff"),
        ),
    ),
    "ev-debug": (
        "Debug mode ended by itself.",
        messages.Event(boot_id=12, seq=11, kind="debug", reason="expired", value=1_789_000_000_000),
    ),
    "ev-update": (
        "A transition.",
        messages.Event(
            boot_id=12,
            seq=9,
            kind="update",
            generation=7,
            deployment="spring",
            attempt=1,
            state=UpdateState.FAILED,
            reason="validation:deviation",
            digest=DIGEST,
        ),
    ),
    "ev-alarm": (
        "A reading crossed the threshold.",
        messages.Event(boot_id=12, seq=10, kind="alarm", value=912),
    ),
    "tel": ("A window of four frames.", TELEMETRY),
    "kill": (
        "Two features must not run.",
        messages.KillList(version=2, features=("gauge", "upload")),
    ),
    "kill-none": ("A newer list takes back an older one.", messages.KillList(version=3)),
    "flags": (
        "A flagd document, as JSON bytes.",
        messages.FlagSnapshot(rev=3, segment="all", document=FLAGD),
    ),
    "timestamp": (
        "A fleet at its second root; the metadata here are not real ones.",
        messages.TrustHead(
            timestamp=b'{"signatures":[],"signed":{"_type":"timestamp"}}',
            root=2,
            roots=sha256(b"root 2").digest() + (2_697).to_bytes(4, "big"),
            snapshot=b'{"signatures":[],"signed":{"_type":"snapshot"}}',
        ),
    ),
    "signed": (
        "The envelope itself; the key and the signature here are not real ones.",
        messages.Signed(payload=b"payload", key_id=b"8 bytes!", signature=bytes(range(64))),
    ),
}
