"""How drift and devices read."""

from typer.testing import CliRunner

from gateway.commands.fleet import fleet_app
from tests_kit.scripted_http import Scripted, answer

SCORES = [
    {"feature": "confidence", "psi": 0.31, "p": 0.0001, "alarm": True},
    {"feature": "blur", "psi": 0.02, "p": 0.6, "alarm": False},
]
HAZY = {
    "name": "ab12/neon/south", "bundle": "ab" * 8, "hardware": "neon", "region": "south", "verdict": "data",
    "probe": "passed", "devices": 12, "frames": 3_400, "open_windows": 0, "open_frames": 0,
    "alarms": {"confidence": 1_700_000_000_000}, "scores": SCORES, "quantiles": [], "sensors": [["k-1", "blur"]],
}  # fmt: skip
CALM = {**HAZY, "name": "ab12/neon/north", "region": "north", "verdict": "none", "alarms": {}, "scores": []}  # fmt: skip
DRIFT = answer(
    {"closed_ms": 1_700_000_000_000, "counters": {}, "cohorts": [CALM, HAZY], "next": None}
)
BUNDLES = answer({"bundles": [{"name": "gauge@1.1.0", "digest": "ab" * 32}], "next": None})


def say(*words, acts, code=0):
    with Scripted(*acts) as peer:
        env = {"FLEETDRILL_URL": peer.url, "FLEETDRILL_TOKEN": "t"}
        done = CliRunner().invoke(fleet_app, words, env=env)
    assert done.exit_code == code, done.output
    return done.output


def test_a_line_for_each_cohort_and_what_its_verdict_means():
    head, calm, hazy, means, newest = say("drift", acts=(DRIFT, BUNDLES)).splitlines()
    assert head.split() == ["cohort", "verdict", "most", "changed", "alarms", "probe", "devices", "frames", "bundle"]  # fmt: skip
    assert calm.split()[:3] == ["ab12/neon/north", "none", "-"]
    assert hazy.split()[:5] == ["ab12/neon/south", "data", "confidence", "0.31", "confidence"]
    assert hazy.endswith("passed       12    3400  gauge@1.1.0")
    assert means.startswith("data: what the devices see has changed")
    assert newest == "newest window closed 2023-11-14T22:13:20+00:00"
    assert "north" not in say("drift", "--alarms", acts=(DRIFT, BUNDLES))


def test_one_cohort_feature_by_feature():
    said = say("drift", "ab12/neon/south", acts=(DRIFT,))
    assert "verdict   data: what the devices see" in said
    assert "sensors   k-1 blur" in said
    assert "confidence  0.310  0.0001  since 2023-11-14T22:13:20+00:00" in said
    assert "did you mean ab12/neon/south?" in say("drift", "ab12/neon/soth", acts=(DRIFT,), code=2)


def test_one_feature_by_time():
    rows = [
        {"window": n, "closed_ms": 1_700_000_000_000 + n, "psi": 0.1 * n, "p": 0.5, "alarm": n > 2, "verdict": "none"}
        for n in range(5)
    ]  # fmt: skip
    said = say("drift", "c", "--feature", "f", acts=(answer({"scores": rows, "next": None}),))
    assert "22:13:20  0.100  0.5  -      none" in said
    assert said.splitlines()[-1] == "▁▃▅▆█  alarm in 40 % of windows"
    assert "expected a cohort with --feature" in say(
        "drift", "--feature", "f", acts=(DRIFT,), code=2
    )


def test_a_fleet_that_has_not_spoken():
    empty = answer({"closed_ms": 0, "counters": {}, "cohorts": [], "next": None})
    assert "no cohort has spoken yet" in say("drift", acts=(empty, BUNDLES))
    assert "no devices" in say("list", acts=(answer({"devices": [], "next": None}),))


DEVICE = {
    "id": "k-1", "online": True, "state": "idle", "running": "ab" * 32, "wanted": "cd" * 32, "outcome": "committed",
    "labels": {"site": "a"},
}  # fmt: skip
PAGE = answer(
    {
        "devices": [
            DEVICE,
            {**DEVICE, "id": "k-2", "running": "cd" * 32},
            {**DEVICE, "id": "k-3", "running": ""},
        ],
        "next": None,
    }
)


def test_devices_run_what_has_a_name():
    _, known, unknown, nothing = say("list", acts=(PAGE, BUNDLES)).splitlines()
    assert known.split() == ["k-1", "online", "idle", "gauge@1.1.0", "committed", "site=a"]
    assert unknown.split()[3] == "cd" * 6, "a digest where the gateway knows no name"
    assert nothing.split()[3] == "-"


def test_for_programs_a_digest_stays_a_digest():
    assert "gauge@" not in say("list", "--json", acts=(PAGE,))
    assert "gauge@" not in say("show", "k-1", "--json", acts=(answer(DEVICE),))


def test_one_device_with_names_beside_its_digests():
    lines = say("show", "k-1", acts=(answer(DEVICE), BUNDLES)).splitlines()
    assert "running  gauge@1.1.0 (" + "ab" * 32 + ")" in lines
    assert "wanted   " + "cd" * 32 in lines
