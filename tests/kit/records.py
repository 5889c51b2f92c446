"""Plausible run records to develop and test reports with.
`outage` makes the record of a day in which a carrier went into a black hole, a heat wave came, and
a rollout of four waves ran; `broken=True` is the same day with a poisoned bundle. The curves are
made up but hang together: transfers make throughput, a heal makes retries, heat makes throttling.
"""

from __future__ import annotations

import math
from itertools import pairwise

from devicesim.entropy import Entropy
from devicesim.report.record import (
    BadMinute,
    Band,
    CheckRow,
    DeviceStory,
    DriftRow,
    FlagRow,
    GroupRow,
    LedgerRow,
    PercentileRow,
    RolloutRow,
    RunRecord,
    Series,
    WaveRow,
)
from devicesim.scenario.checks import ALWAYS, SOMETIMES

MINUTES = 24 * 60
DEVICES = 10_000
HOUR = 3600.0
BLACK_HOLE = (45 * 60.0, 165 * 60.0)
HEAT = (6 * HOUR, 10.5 * HOUR)
DRIFT = (13 * HOUR, 16 * HOUR)
RESTART = (3.6 * HOUR, 3.6 * HOUR + 40)


def checks_of_an_outage() -> int:
    """How many checks the day has: the vocabulary's, and some of its own."""
    return len(outage().checks)


def outage(*, broken: bool = False, seed: int = 42) -> RunRecord:
    """Make the record of the day; `broken` gives the one whose verdict is failed."""
    return RunRecord(
        scenario="carrier-outage",
        title="Carrier outage during a staged rollout",
        description="An LTE carrier goes into a black hole for two hours while gauge 1.1.0 is "
        "about to ship; then the broker forgets its sessions, and a heat wave arrives.",
        seed=seed,
        verdict="failed" if broken else "passed",
        clock_start="2024-02-22T08:00:00Z",
        trace_digest="b3:7f0c2b9e5d1a48c6" + ("e01f" if broken else "a94d"),
        scenario_digest="b3:1d5e77aa",
        reproduce=f"fleetdrill run scenarios/carrier-outage.yaml --seed {seed} --set scale=1.0",
        devices=DEVICES,
        groups=[
            GroupRow("kiosk", 4000, "rpi4-kiosk", "fcc-dsl"),
            GroupRow("handheld", 5000, "handheld", "lte-good 50 %, lte-fair 30 %, lte-poor 20 %"),
            GroupRow("camera", 1000, "jetson-camera", "fcc-dsl"),
        ],
        virtual_s=86_400.0,
        wall_s=58.4,
        cpu_s=57.1,
        speedup=1479.5,
        events=7_614_208,
        inferences=22_718_400,
        messages=3_508_977,
        windows=958_212,
        memory_mib=612.4,
        checks=_checks(broken=broken),
        drops=_drops(broken=broken),
        ledger=_ledger(),
        rollouts=_rollouts(broken=broken),
        flags=[
            FlagRow(2 * HOUR, "set new-dial to 25 %", 4_871, 0.31, 12.4, 9_120.0),
            FlagRow(6 * HOUR, "kill new-dial", 9_964, 0.22, 1.61, 214.0),
        ],
        drifts=_drifts(),
        series=_series(seed, broken=broken),
        bands=_bands(),
        percentiles=_percentiles(),
        worst_devices=_worst(broken=broken),
        first_bad_minute=_bad_minute() if broken else None,
        decisions={
            "battery_above_40": 61_204,
            "cool": 22_410,
            "latency_budget": 8_115,
            "throttled_to_int8": 6_402,
            "battery_saver": 2_931,
            "fallback_rules": 118,
        },
        machine={
            "cpu": "AMD EPYC 7B13, 2 cores",
            "memory": "7.8 GiB",
            "kernel": "Linux 6.1.0",
            "python": "CPython 3.11.7",
        },
        versions={
            "fleetdrill": "0.1.0",
            "simpy": "4.1.2",
            "onnxruntime": "1.20.1",
            "numpy": "2.4.6",
        },
        seeds={"master": str(seed)},
    )


def bare(verdict: str = "passed") -> RunRecord:
    """Make the least a record can be: a run that ended before anything happened."""
    return RunRecord(scenario="nothing", seed=1, verdict=verdict)  # type: ignore[arg-type]


def _checks(*, broken: bool) -> list[CheckRow]:
    always = [CheckRow(name, "always", True, means, None, 1440) for name, means in ALWAYS.items()]
    seen = {"wave_halted_by_itself": broken, "died_mid_flash": False}
    sometimes = [
        CheckRow(name, "sometimes", seen.get(name, True) or None, means,
                 3600.0 * (2 + index) if seen.get(name, True) else None,
                 (14 * index + 3) if seen.get(name, True) else 0)
        for index, (name, means) in enumerate(SOMETIMES.items())
    ]  # fmt: skip
    goals = [
        CheckRow("online_ratio >= 99 % within 30m after heal", "eventually", True,
                 "99.1 % after 21 min 40 s", None, 1),
        CheckRow("stuck == 0", "finally", not broken,
                 "17 devices neither done nor making progress: 12 kiosk, 5 handheld" if broken
                 else "no device is stuck", 86_400.0 if broken else None, 1),
        CheckRow("versions <= 2", "finally", True, "gauge 1.0.0, gauge 1.1.0", None, 1),
        CheckRow("reconnect_p99 < 300s", "slo", True, "212 s over 41,906 reconnects", None, 1),
        CheckRow("kill_p99 < 2s", "slo", True, "1.61 s over 9,964 devices", None, 1),
    ]  # fmt: skip
    if not broken:
        return [*always, *goals, *sometimes]
    story = (
        "rollout r1, wave 3 of 4: 1,204 devices ran gauge 1.1.0 when 2,500 were allowed and the "
        "gate had already tipped; camera-00412 activated 00:00:38 after the halt, because its "
        "offer "
        "was fetched from a session queue that the brake did not reach."
    )
    broken_row = CheckRow("halt_holds", "always", False, story, 4.93 * HOUR, 1440)
    return [
        broken_row if row.name == "halt_holds" else row for row in [*always, *goals, *sometimes]
    ]


def _drops(*, broken: bool) -> dict[str, int]:
    return {
        "black_hole": 48_120,
        "qos0_offline": 9_408,
        "connection_lost": 3_911,
        "session_lost": 812,
        "queue_full": 355 if broken else 41,
        "power_off": 96,
    }


def _drifts() -> list[DriftRow]:
    return [
        DriftRow("data", "gauge@1.0.0 arm64-neon west", *DRIFT, "", 900, "luminance", 0.62),
        DriftRow(
            "hardware", "gauge@1.0.0 x86-avx2 west", 5 * HOUR, None, "", 80, "golden probe", 0.4
        ),
        DriftRow(
            "sensor", "gauge@1.0.0 arm64-neon west", 6 * HOUR, None, "kiosk-0007", 1, "contrast"
        ),
    ]


def _bands() -> list[Band]:
    return [
        Band(*BLACK_HOLE, "black hole on LTE", "partition"),
        Band(BLACK_HOLE[1], BLACK_HOLE[1] + 1800, "heal, swizzled", "heal"),
        Band(*RESTART, "broker restart, sessions lost", "broker.restart"),
        Band(*HEAT, "heat wave +14 \N{DEGREE SIGN}C", "heat.wave"),
        Band(7 * HOUR, 7.1 * HOUR, "real-time clock lost, 5 % of kiosks", "clock.lose_rtc"),
        Band(*DRIFT, "us-west: images dimmed by half", "data.drift"),
    ]


def _ledger() -> list[LedgerRow]:
    rows = []
    for leg, kind, opened, dropped, held in (
        ("up", "telemetry", 958_212, 21_004, 0), ("up", "transfer", 421_977, 6_110, 0),
        ("up", "state", 88_412, 2_004, 0), ("broker", "chunk", 1_301_206, 12_406, 14),
        ("broker", "twin", 44_120, 1_167, 31), ("broker", "flags", 19_904, 41, 0),
        ("down", "chunk", 1_290_009, 19_211, 0), ("retained", "flags", 3, 0, 1),
    ):  # fmt: skip
        delivered = opened - dropped - held
        rows.append(LedgerRow(leg, kind, opened, delivered, dropped, held))
    return rows


def _rollouts(*, broken: bool) -> list[RolloutRow]:
    sizes = [(0.01, 100), (0.10, 900), (0.25, 1500), (1.0, 7500)]
    starts = [HOUR, 1.6 * HOUR, 4.2 * HOUR, 11.2 * HOUR]
    ends = [1.55 * HOUR, 4.1 * HOUR, 5.0 * HOUR if broken else 11.1 * HOUR, 20.4 * HOUR]
    waves = []
    for index, (share, size) in enumerate(sizes):
        if broken and index == 3:
            waves.append(WaveRow(share, size, verdict="never opened"))
            continue
        bad = broken and index == 2
        failed = 83 if bad else (0, 4, 9, 31)[index]
        back = 1_109 if bad else failed
        exposed = 1_204 if bad else size - (0, 3, 11, 96)[index]
        waves.append(
            WaveRow(share, size, size, exposed, exposed - back if not bad else 12, failed, back,
                    starts[index], ends[index], 48.2 if bad else 0.4 - 0.08 * index,
                    "halted" if bad else "passed")
        )  # fmt: skip
    why = (
        "gate failures: 6.9 % of 1,204 exposed against 2 % allowed (e-value 48)"
        if broken
        else "every wave passed its gate"
    )
    hotfix = RolloutRow("hotfix", "blink@0.3.2", "completed", "every wave passed its gate", [
        WaveRow(1.0, 1000, 1000, 1000, 998, 2, 2, 17 * HOUR, 18.2 * HOUR, 0.2, "passed"),
    ])  # fmt: skip
    state = "reverted" if broken else "completed"
    return [RolloutRow("r1", "gauge@1.1.0", state, why, waves), hotfix]


def _percentiles() -> list[PercentileRow]:
    rows = []
    phases = (("before", 1.0, 2_100), ("black hole", 3.1, 1_840), ("heal", 9.5, 4_901),
              ("heat wave", 1.7, 9_312), ("after", 1.05, 7_744))  # fmt: skip
    for metric, p50, unit in (
        ("reconnect", 4.2, "s"), ("offer to commit", 310.0, "s"), ("inference latency", 11.8, "ms"),
    ):  # fmt: skip
        for phase, factor, n in phases:
            scale = p50 * factor
            rows.append(
                PercentileRow(metric, phase, n, scale, scale * 2.4, scale * 6.5, scale * 14, unit)
            )
    return rows


def _worst(*, broken: bool) -> list[DeviceStory]:
    lines = [
        "08:44:58.120   +0.0 s  link.up        lte-fair, rtt 94 ms",
        "08:45:00.000   +1.9 s  link.blackhole carrier black hole",
        "08:46:31.004  +92.9 s  agent.pingreq  no answer  x 3",
        "08:47:02.551   +2 min  agent.backoff  attempt 1 .. 9, 1.2 s .. 118 s  x 9",
        "10:45:19.870  +2 h     link.up        lte-poor, rtt 212 ms",
        "10:45:21.002  +2 h     agent.connect  session present: no",
        "10:47:44.318  +2 h     transfer.resume chunk 41 of 64",
    ]
    devices = [
        DeviceStory("handheld-03117", "handheld", "offline 4 h 12 min, 61 reconnects", lines),
        DeviceStory("kiosk-00871", "kiosk", "rolled back after 3 trial boots", lines[:4]),
        DeviceStory(
            "camera-00412", "camera", "throttled 5 h 40 min at 91 \N{DEGREE SIGN}C", lines[2:]
        ),
        DeviceStory("handheld-01990", "handheld", "died at 0 % while flashing", lines[1:6]),
    ]
    return devices if broken else devices[:3]


def _bad_minute() -> BadMinute:
    return BadMinute(4.93 * HOUR, "halt_holds: camera-00412 activated gauge 1.1.0 after the halt", [
        "12:55:09.002  gateway  rollout r1 halted: failures 6.9 % > 2 %, e-value 48",
        "12:55:09.031  gateway  halt published to 1,204 devices in flight",
        "12:55:47.118  camera-00412  connect, session present, 3 queued",
        "12:55:47.119  camera-00412  offer r1/3 (queued 00:03:11 ago)",
        "12:55:47.840  camera-00412  activate gauge 1.1.0  \N{LEFTWARDS ARROW} after the halt",
    ])  # fmt: skip


def _bump(t: float, start: float, end: float, rise: float, fall: float) -> float:
    """Rise to 1 after `start` and fall back after `end`, both exponentially (time constants, s)."""
    if t < start:
        return 0.0
    top = 1 - math.exp(-(min(t, end) - start) / rise)
    return top if t < end else top * math.exp(-(t - end) / fall)


def _series(seed: int, *, broken: bool) -> dict[str, Series]:
    luck = Entropy(seed).stream("report-kit")
    t = [60.0 * minute for minute in range(MINUTES + 1)]
    noise = [[luck.uniform() - 0.5 for _ in t] for _ in range(6)]
    cut = [_bump(x, *BLACK_HOLE, 180, 420) for x in t]
    heat = [_bump(x, *HEAT, 4000, 5000) for x in t]
    restart = [_bump(x, *RESTART, 8, 260) for x in t]
    day = [math.sin((x / HOUR - 4) / 24 * 2 * math.pi) for x in t]
    offline = [0.012 + 0.004 * n for n in noise[0]]
    online = [
        round(DEVICES * max(0.0, 1 - o - 0.47 * c - 0.9 * r))
        for o, c, r in zip(offline, cut, restart, strict=True)
    ]
    new, failed = _progress(t, broken=broken)
    moved = [max(0.0, b - a) for a, b in pairwise([*new, new[-1]])]
    active = [round(d * 9 + 6 * abs(n)) for d, n in zip(moved, noise[1], strict=True)]
    retry = [
        40 + 30 * abs(n) + 2200 * c * (1 - c) * 4 + 5200 * r + 380 * c
        for n, c, r in zip(noise[2], cut, restart, strict=True)
    ]
    share_hot = [
        min(1.0, 0.01 + 0.34 * h * h + 0.01 * abs(n)) for h, n in zip(heat, noise[3], strict=True)
    ]
    temperature = {
        name: [
            base + spread * d + 14 * h * k + n for d, h, n in zip(day, heat, noise[3], strict=True)
        ]
        for name, base, spread, k in (("p10", 31, 3, 0.7), ("p50", 44, 4, 1.0), ("p90", 58, 5, 1.3))
    }
    battery = {
        name: [
            base - 0.16 * d - 0.05 * h + 0.004 * n
            for d, h, n in zip(day, heat, noise[4], strict=True)
        ]
        for name, base in (("p10", 0.34), ("p50", 0.68), ("p90", 0.8))
    }  # fmt: skip
    drift = {
        "us-west": [
            0.04 + 0.01 * abs(n) + 0.31 * _bump(x, *DRIFT, 1500, 2400)
            for x, n in zip(t, noise[5], strict=True)
        ],
        "us-east": [0.04 + 0.012 * abs(n) for n in noise[4]],
    }
    windows = [
        round(DEVICES / 15 * o / DEVICES * (1 + 0.05 * n))
        for o, n in zip(online, noise[1], strict=True)
    ]
    return {
        "online": Series("devices", t, {"online": online}),
        "versions": Series("devices", t, {
            "gauge 1.0.0": [DEVICES - a - b for a, b in zip(new, failed, strict=True)],
            "gauge 1.1.0": new, "rolled back": failed,
        }),
        "transfers": Series("devices", t, {
            "fetching": active, "waiting": [round(0.3 * a) for a in active],
        }),
        "throughput": Series("B/s", t, {"chunks": [a * 21_000.0 for a in active]}),
        "retries": Series("1/min", t, {
            "reconnects": retry, "chunk requests": [0.2 * r for r in retry],
        }),
        "telemetry": Series("1/min", t, {"windows": windows}),
        "temperature": Series("C", t, temperature),
        "battery": Series("share", t, battery),
        "throttled": Series("share", t, {"throttled": share_hot}),
        "drift": Series("", t, drift),
        "alarms": Series("1/min", t, {
            "data": [round(8 * max(0.0, d - 0.2)) for d in drift["us-west"]],
            "hardware": [0.0 for _ in t],
        }),
    }  # fmt: skip


def _progress(t: list[float], *, broken: bool) -> tuple[list[float], list[float]]:
    """Devices on the new version, and devices that went back, at each instant."""
    new, back = [], []
    for x in t:
        done = 100 * _bump(x, HOUR, 9e9, 500, 1) + 900 * _bump(x, 1.6 * HOUR, 9e9, 2600, 1)
        gone = 0.0
        if broken:
            done += 1204 * _bump(x, 4.2 * HOUR, 4.95 * HOUR, 900, 700)
            gone = 1109 * _bump(x, 4.95 * HOUR, 9e9, 700, 1)
        else:
            done += 1500 * _bump(x, 4.2 * HOUR, 9e9, 3600, 1)
            done += 7350 * _bump(x, 11.2 * HOUR, 9e9, 5400, 1)
            gone = 44 * _bump(x, 11.4 * HOUR, 9e9, 5400, 1)
        new.append(round(done))
        back.append(round(gone))
    return new, back
