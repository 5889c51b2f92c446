"""A fleet to look at: rows of a gateway that has lived for some days, written straight into its state folder.

Decides who is online, who runs what, three rollouts (one ran through, one is under way, one was halted), flags, a kill
list and closed windows of drift. Nothing here is measured; the console is, with these rows behind it (console.py).

Rules: the same count gives the same rows; every number is a function of a device's place.
"""

from __future__ import annotations

import json
import math
from hashlib import sha256
from pathlib import Path
from typing import Final

from devicesdk.bundle.manifest import BlobRef, Manifest, Variant
from devicesdk.sketches import histogram as h
from devicesdk.wire.messages import UpdateState
from gateway.adapters.storage import SqlStorage, sqlite_url
from gateway.core import rows
from gateway.core.collect import rows as drift
from gateway.core.collect.bins import SIZES
from gateway.core.internal import Drift
from gateway.core.rows import Outcome, Phase, Purpose
from gateway.core.stimuli import RolloutPlan

REGIONS: Final = ("eu-north", "eu-south", "us-east", "us-west", "apac")
HARDWARE: Final = ("rpi4", "rpi5", "jetson-nano", "cortex-a53")
FEATURES: Final = ("confidence", "entropy", "latency", *(f"feature{n}" for n in range(8)))
EVIDENCE: Final = "evidence 41.7 that more than 2 % fail"
MINUTE_NS: Final = 60 * 10**9
WINDOWS: Final = 24
COMMIT_ROWS: Final = 5_000


def seed(state: Path, devices: int, now_ns: int) -> None:
    """Write a fleet into a state folder that has no rows yet.

    Args:
        state: the folder, which exists.
        devices: how many.
        now_ns: UTC.
    """
    storage = SqlStorage(sqlite_url(state / "gateway.db"))
    bundles = [_bundle(number) for number in (1, 2, 3)]
    for digest, manifest in bundles:
        storage.put(rows.BUNDLE, digest.hex(), rows.BundleRow(manifest, 900))
    digests = [digest for digest, _ in bundles]
    for place in range(devices):
        _device(storage, place, devices, digests)
        if place % COMMIT_ROWS == 0:
            storage.commit()
    for row in _rollouts(devices, digests, now_ns):
        storage.put(rows.ROLLOUT, row.plan.id, row)
    _flags(storage)
    for number in range(WINDOWS):
        closed_ns = now_ns - (WINDOWS - number) * 15 * MINUTE_NS
        storage.put(drift.WINDOW, f"{number:09d}", _window(number, closed_ns, digests))
    storage.commit()
    storage.close()


def _bundle(number: int) -> tuple[bytes, Manifest]:
    image, hashes = (BlobRef(sha256(b"%s %d" % (what, number)).hexdigest(), size)
                     for what, size in ((b"image", 4_200_000 + 90_000 * number), (b"hashes", 8_200)))  # fmt: skip
    variants = (
        Variant(name="int8", image=image, hashes=hashes, chunk_bytes=16_384, hardware=("*",)),
    )
    baseline = {name: _bell(size, 0.0) for name, size in zip(FEATURES, SIZES, strict=True)}
    manifest = Manifest(
        id="gauge", version=f"1.{number}.0", release=number, variants=variants, baseline=baseline
    )
    return sha256(b"envelope %d" % number).digest(), manifest


def _luck(place: int, what: int) -> int:
    """0 .. 999, a function of a place."""
    return int.from_bytes(sha256(b"%d/%d" % (place, what)).digest()[:4]) % 1_000


def _device(storage: SqlStorage, place: int, devices: int, digests: list[bytes]) -> None:
    name = f"kiosk-{place:05d}"
    hardware = HARDWARE[place % 4]
    labels = {"profile": hardware, "region": REGIONS[_luck(place, 1) % 5]}
    offered = place < 0.34 * devices
    runs, wanted, outcome = digests[1], digests[1], Outcome.COMMITTED
    state, rollout = UpdateState.IDLE, "autumn"
    if offered:
        wanted, rollout, outcome = digests[2], "winter", Outcome.OPEN
        state, outcome = _progress(place)
        runs = digests[2] if state in (UpdateState.COMMITTED, UpdateState.TRIAL) else digests[1]
    elif _luck(place, 2) < 40:
        runs, outcome = digests[0], Outcome.OPEN
    online = _luck(place, 3) < 930
    quarantine = (digests[2],) if outcome is Outcome.ROLLED_BACK else ()
    storage.put(rows.DEVICE, name, rows.DeviceRow(labels, enrolled=True, quarantine=quarantine))
    storage.put(rows.DESIRED, name, rows.DesiredRow(
        3 if offered else 2, wanted, rollout, Purpose.UPDATE, attempt=1, outcome=outcome, previous=digests[1]))  # fmt: skip
    storage.put(rows.REPORTED, name, rows.ReportedRow(
        boot_id=1 + place % 7, seq=40 + place % 60, generation=3 if offered else 2, running=runs,
        trial=state is UpdateState.TRIAL, state=state, flags_rev=4, kill_version=2, hardware_class=hardware,
        variant="int8"))  # fmt: skip
    storage.put(rows.PRESENCE, name, rows.PresenceRow(1 + place % 7, 1, online))


def _progress(place: int) -> tuple[UpdateState, Outcome]:
    luck = _luck(place, 4)
    for below, state, outcome in (
        (700, UpdateState.COMMITTED, Outcome.COMMITTED),
        (820, UpdateState.DOWNLOADING, Outcome.OPEN),
        (900, UpdateState.TRIAL, Outcome.OPEN),
        (985, UpdateState.WAITING, Outcome.OPEN),
        (994, UpdateState.ROLLED_BACK, Outcome.ROLLED_BACK),
    ):
        if luck < below:
            return state, outcome
    return UpdateState.FAILED, Outcome.FAILED


def _rollouts(devices: int, digests: list[bytes], now_ns: int) -> list[rows.RolloutRow]:
    def wave(share: float, before: float, hours: int, **counts: float | str) -> rows.WaveRow:
        size = max(1, round(devices * share) - round(devices * before))
        opened = now_ns - hours * 60 * MINUTE_NS
        ends = {"offered": size, "timeout_ns": now_ns + 10**15} | counts
        return rows.WaveRow(share=share, size=size, opened_ns=opened, **ends)  # type: ignore[arg-type]

    def done(share: float, before: float, hours: int) -> rows.WaveRow:
        size = max(1, round(devices * share) - round(devices * before))
        bad = size // 150
        return wave(share, before, hours, committed=size - bad, exposed=size, rolled_back=bad, verdict="passed",
                    e_value=0.61, closed_ns=now_ns - (hours - 3) * 60 * MINUTE_NS)  # fmt: skip

    part = max(1, round(devices * 0.25) - round(devices * 0.1))
    under_way = wave(0.25, 0.1, 2, committed=part * 7 // 10, exposed=part * 8 // 10, rolled_back=part // 110,
                     failed=part // 160, e_value=3.4)  # fmt: skip
    first = max(1, round(devices * 0.01))
    bad = wave(0.01, 0, 90, committed=first // 2, exposed=first, rolled_back=first - first // 2, e_value=41.7,
               verdict=EVIDENCE, closed_ns=now_ns - 88 * 60 * MINUTE_NS)  # fmt: skip
    through = (done(0.01, 0, 300), done(0.1, 0.01, 280), done(0.25, 0.1, 250), done(1.0, 0.25, 200))
    shares = (0.01, 0.1, 0.25, 1.0)
    return [
        rows.RolloutRow(RolloutPlan("autumn", "gauge@1.2.0", shares), 1, Phase.COMPLETED, "", digests[1], through, next_share=4),
        rows.RolloutRow(RolloutPlan("winter-canary", "gauge@1.3.0", shares), 2, Phase.HALTED,
                        EVIDENCE, digests[2], (bad,), next_share=1),
        rows.RolloutRow(RolloutPlan("winter", "gauge@1.3.0", shares), 3, Phase.PAUSED, "paused by an operator", digests[2],
                        (done(0.01, 0, 30), done(0.1, 0.01, 20), under_way), next_share=3, paused_ns=now_ns - MINUTE_NS),
    ]  # fmt: skip


def _flags(storage: SqlStorage) -> None:
    def flag(name: str, default: str, **variants: object) -> tuple[str, str]:
        words = {"state": "ENABLED", "variants": variants, "defaultVariant": default}
        return name, json.dumps(words, sort_keys=True)

    every = (flag("dashboard.dark", "off", on=True, off=False), flag("gauge.threshold", "careful", careful=0.9, bold=0.7),
             flag("telemetry.window_s", "normal", normal=900, often=60))  # fmt: skip
    storage.put(rows.SEGMENT, "all", rows.SegmentRow(4, every))
    storage.put(
        rows.SEGMENT,
        "eu-north",
        rows.SegmentRow(1, (flag("dashboard.dark", "on", on=True, off=False),)),
    )
    storage.put(rows.KILL, "list", rows.KillRow(2, ("night-mode",)))


def _window(number: int, closed_ns: int, digests: list[bytes]) -> drift.WindowRow:
    cohorts, alarms = [], []
    for digest in digests[1:]:
        for at, hardware in enumerate(HARDWARE):
            for region in REGIONS:
                name = f"{digest[:8].hex()}/{hardware}/{region}"
                ill = hardware == "cortex-a53" and digest == digests[2]
                snow = region == "eu-north" and number > WINDOWS // 2
                verdict: Drift = "hardware" if ill else "data" if snow else "none"
                scores = tuple(
                    _score(number, at, region, f, ill=ill, snow=snow) for f in range(len(FEATURES))
                )
                alarms += [drift.Alarm(name, s.feature, 5, 0, closed_ns) for s in scores if s.alarm]
                cohorts.append(drift.CohortWindow(
                    name, 60, 5_400, 0, 12, 7 if ill else 0, _counts(scores), {}, 0, verdict, scores,
                    probe="failed" if ill else "passed", devices=58 + at))  # fmt: skip
    return drift.WindowRow(
        number, closed_ns - 15 * MINUTE_NS, closed_ns, tuple(cohorts), tuple(alarms)
    )


def _bell(size: int, shift: float) -> list[float]:
    """Shares of `size` bins around a place in the middle, moved by `shift` of the width."""
    middle = (0.45 + shift) * size
    raw = [math.exp(-0.5 * ((at + 0.5 - middle) / (0.16 * size)) ** 2) for at in range(size)]
    return [one / math.fsum(raw) for one in raw]


def _counts(scores: tuple[drift.Score, ...]) -> bytes:
    """Histograms that are about as far from the baseline as the scores say."""
    found: list[int] = []
    for score, size in zip(scores, SIZES, strict=True):
        found += (round(5_400 * share) for share in _bell(size, 0.16 * math.sqrt(score.psi)))
    return h.pack(found)


def _score(
    number: int, at: int, region: str, feature: int, *, ill: bool, snow: bool
) -> drift.Score:
    noise = _luck(number * 97 + feature * 13 + at, len(region)) / 1_000 * 0.03
    shift = (0.62 if ill and feature in (0, 1) else 0.31 if ill else 0) if feature < 5 else 0
    shift += 0.14 + 0.05 * feature if snow and 3 <= feature < 8 else 0
    psi = noise + shift
    return drift.Score(FEATURES[feature], psi, 0.4 if psi < 0.1 else 1e-6, 1.0, alarm=psi > 0.25)
