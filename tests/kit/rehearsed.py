"""Jobs to rehearse: real bundles, published into a folder of blobs, and fleets in a few words."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

from devicesdk.bundle.build import build_bundle
from devicesdk.bundle.source import read_release
from devicesdk.bundle.trust import ROLE_TARGETS, Ed25519Signer
from devicesdk.inference.source import reader_of
from gateway.adapters.blobs import FileBlobs
from gateway.core.control.shape import Shape, ShapeGroup
from gateway.core.rehearsals.job import Job, Named
from gateway.core.stimuli import GatePlan, RolloutPlan

MODELS = Path(__file__).parents[2] / "models"
WEAK, GOOD, POISONED = "gauge/1.0.0", "gauge/1.1.0", "gauge-poisoned/1.2.0"
SIGNER = Ed25519Signer(ROLE_TARGETS, bytes([7]) * 32)
AT_MS = 1_767_600_000_000
"""5 January 2026, 08:00Z, a Monday."""
PLAYER: Final = (sys.executable, "-c", """
import json, pathlib, sys
job = json.load(sys.stdin)
runs = [
    {"seed": seed, "held": True, "digest": "", "state": "completed", "why": "", "exposed": 1, "devices": 1,
     "virtual_s": 1.0, "cpu_s": 0.0, "report": f"seed-{seed}/report.html"}
    for seed in job["seeds"]
]
for run in runs:
    report = pathlib.Path(job["folder"], run["report"])
    report.parent.mkdir(parents=True)
    report.write_text("<!doctype html><title>It held</title>")
print(json.dumps({"verdict": {"outcome": "held", "why": "It held.", "runs": runs}}))
""")  # fmt: skip
"""Starts at once and says that every plan held, for who looks at what is around a rehearsal."""


def publish(blobs: FileBlobs, which: str, signer: Ed25519Signer = SIGNER) -> Named:
    """Publish one of the shipped bundles."""
    release, images = read_release(reader_of(MODELS / which))
    built = build_bundle(release, images)
    digest, everything = built.sealed(signer)
    for blob in everything.values():
        blobs.put(blob)
    return Named(built.manifest.name, digest.hex())


def group(**more: Any) -> ShapeGroup:
    """Forty kiosks that run the weak release, all there."""
    words: dict[str, Any] = {
        "selected": True, "hardware": "arm64-neon", "running": "gauge@1.0.0", "profile": "rpi4-kiosk",
        "link": "fcc-dsl", "region": "eu", "devices": 40, "online": 40, "offsets": {"UTC+01:00": 40},
    }  # fmt: skip
    return ShapeGroup(**{**words, **more})


def shape(*groups: ShapeGroup) -> Shape:
    """A fleet."""
    told = groups or (group(),)
    devices, online = sum(g.devices for g in told), sum(g.online for g in told)
    return Shape(devices, online, AT_MS, told)


def plan(bundle: str, **more: Any) -> RolloutPlan:
    """Three quick waves."""
    words: dict[str, Any] = {
        "id": "spring", "bundle": bundle, "waves": (0.1, 0.5, 1.0), "soak_ns": 20 * 60 * 10**9,
        "gate": GatePlan(), "jitter_ms": 0,
    }  # fmt: skip
    return RolloutPlan(**{**words, **more})


def job(folder: Path, which: str, **more: Any) -> Job:
    """A job for one of the shipped bundles; its blobs are in the folder."""
    blobs = FileBlobs(folder / "blobs")
    weak, candidate = publish(blobs, WEAK), publish(blobs, which)
    blobs.close()
    words: dict[str, Any] = {
        "number": 1, "plan": plan(candidate.name), "candidate": candidate, "others": (weak,),
        "shape": shape(), "seeds": (1, 2), "blobs": str(folder / "blobs"), "folder": str(folder / "out"),
    }  # fmt: skip
    return Job(**{**words, **more})
