"""Rehearse a scenario: load, assemble, run, judge, report.

Decides the order of these steps and what is kept of them. Leaves out the console (cli.py) and every
step itself.
"""

from __future__ import annotations

import json
import resource
import shlex
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from devicesdk.wire.timebase import MS, format_duration, parse_duration
from devicesim.explain import Again, explain, worth_it
from devicesim.large_pages import LargePages
from devicesim.report import devices, document, html, junit
from devicesim.report.record import RunRecord, Venue
from devicesim.rundir import (
    RUNNING_FILE,
    TraceFile,
    announce,
    machine,
    new_folder,
    versions,
    write_trace_index,
)
from devicesim.scenario import load
from devicesim.scenario.resolved import flatten
from devicesim.scenario.schema import Scenario
from devicesim.scenario.texts import digest_of
from devicesim.stock import load_profiles, read_texts, require, stock_for
from devicesim.world.assemble import assemble
from devicesim.world.drill import Drill
from devicesim.world.places import Stage
from devicesim.world.run_record import Circumstances, build_record
from devicesim.world.world import patient_collector


class Rehearsal:
    """One run of one scenario.

    Args:
        scenario: loaded and checked.
        file: where it came from; bundles and profiles are looked for from there.
        seed: overrides the scenario's.
        out: the run gets a folder of its own below this one; None keeps nothing but what is returned.
        overrides: what ``--set`` changed, for the reproduction line.
        stage: where it is rehearsed; in virtual time by default.
        explain: run again, where that is worth it, to explain the checks that failed.
        folder: the run's folder itself, made here; instead of `out`.
        whole: whether trace and reports are kept beside the outcomes.

    Raises:
        FileExistsError: `folder` is there already.
    """

    def __init__(
        self,
        scenario: Scenario,
        file: Path,
        *,
        seed: int | None = None,
        out: Path | None = None,
        overrides: tuple[str, ...] = (),
        stage: Stage | None = None,
        explain: bool = False,
        folder: Path | None = None,
        whole: bool = True,
    ) -> None:
        self.explain = explain
        self.scenario, self.file, self.overrides = scenario, file, overrides
        self.explaining = False
        """The run is over and has failed: it runs again, to find the causes."""
        self.seed = scenario.seed if seed is None else seed
        if folder is not None:
            folder.mkdir(parents=True)
        elif out is not None:
            folder = new_folder(out, f"{scenario.name}-{self.seed}")
        self.folder, self._whole = folder, whole
        self._scenario_digest = digest_of(*read_texts(file))
        self._wall, self._cpu = time.perf_counter(), time.process_time()
        self._pages = LargePages.of_this_process()
        self._trace_file = TraceFile(folder / "trace.bin" if folder and whole else None)
        with patient_collector():
            stock = self._stock = stock_for(scenario, file)
            self.world = assemble(
                scenario, stock, seed=self.seed, sink=self._trace_file, stage=stage
            )
            self.drill = Drill(self.world)

    @property
    def report(self) -> Path | None:
        """Where the report is (or will be)."""
        return self.folder / "report.html" if self.folder and self._whole else None

    def run(
        self, until: int | None = None, pulse: Callable[[int], None] | None = None
    ) -> RunRecord:
        """Run to the end and return the record; writes the run's files if there is a folder.

        Args:
            until: virtual instant to stop at, ns.
            pulse: called with the virtual instant now and then.
        """
        self._announce(until)
        self._wall, self._cpu = time.perf_counter(), time.process_time()

        def breathe(now: int) -> None:
            self._pages.look()
            if pulse is not None:
                pulse(now)

        return self.conclude(self.world.run(until, breathe), until, pulse=pulse)

    def _announce(self, until: int | None) -> None:
        """Let others find this run while it goes on."""
        if self.folder is not None and self._whole:
            announce(
                self.folder,
                scenario=str(self.file),
                scenario_digest=self._scenario_digest,
                overrides=list(self.overrides),
                seed=self.seed,
                until_ns=until,
            )

    def conclude(
        self,
        digest: str,
        until: int | None,
        venue: Venue | None = None,
        pulse: Callable[[int], None] | None = None,
    ) -> RunRecord:
        """Make the record of the world, which has ended; writes the run's files.

        Args:
            digest: of the trace.
            until: instant that the run was asked to stop at, ns.
            venue: where it ran, if not in virtual time.
            pulse: called with the virtual instant now and then while it runs again.
        """
        self._trace_file.close()
        around = Circumstances(
            venue=venue or Venue(),
            wall_s=time.perf_counter() - self._wall,
            cpu_s=time.process_time() - self._cpu,
            memory_mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            scenario_digest=self._scenario_digest,
            reproduce=self.reproduce(until),
            overrides=list(self.overrides),
            machine=machine(),
            versions=versions(),
            seeds={"scenario": str(self.scenario.seed), "run": str(self.seed)},
        )
        drill = self.drill
        record = build_record(
            self.world,
            drill.meter,
            drill.recorder,
            drill.checks,
            trace_digest=digest,
            around=around,
        )
        if self.explain and worth_it(record):
            self.explaining = True
            with patient_collector():
                record = explain(record, self.again, pulse)
        if self.folder is not None:
            self._write(self.folder, record, digest)
        return record

    @property
    def again(self) -> Again:
        """What it takes to run this again."""
        return Again(self.scenario, self.file, self._stock, self.seed)

    def reproduce(self, until: int | None) -> str:
        """The command that repeats this run bit for bit."""
        words = ["fleetdrill", "run", str(self.file), "--seed", str(self.seed)]
        if until is not None:
            spelled = format_duration(until)
            exact = parse_duration(spelled) == until
            words += ["--until", spelled if exact else f"{until // MS}ms"]
        for override in self.overrides:
            words += ["--set", override]
        return shlex.join(words)

    def _write(self, folder: Path, record: RunRecord, digest: str) -> None:
        self._write_outcomes(folder, record)
        if not self._whole:
            return
        write_trace_index(folder, self.world, self.world.trace, digest)
        (folder / "verdict.json").write_text(document.encode(record, str(self.report)))
        (folder / "report.html").write_text(html.render(record))
        (folder / "junit.xml").write_text(junit.to_xml(record))
        (folder / RUNNING_FILE).unlink(missing_ok=True)

    def _write_outcomes(self, folder: Path, record: RunRecord) -> None:
        """Write what another run can be held against: record, devices, the scenario in full, manifest."""
        (folder / "record.json").write_bytes(msgspec.json.encode(record))
        rows = self.drill.books.rows(self.world.now)
        (folder / "devices.csv").write_text(devices.to_csv(rows))
        (folder / "scenario.json").write_text(json.dumps(flatten(self.scenario), indent=1))
        manifest = {
            "seed": self.seed,
            "scenario": str(self.file),
            "overrides": list(self.overrides),
        }
        (folder / "manifest.json").write_text(
            json.dumps({**manifest, **record.machine, **record.versions}, indent=1)
        )


def rehearse_into(
    folder: Path,
    file: Path,
    overrides: tuple[str, ...],
    *,
    seed: int,
    whole: bool,
    until: int | None = None,
    pulse: Callable[[Rehearsal, int], None] | None = None,
) -> RunRecord:
    """Run a scenario file to its end, or to `until` (ns), and leave its files in `folder`.

    Args:
        folder: made here.
        file: the scenario.
        overrides: as with ``--set``.
        seed: of the run.
        whole: whether trace and reports are kept beside the outcomes.
        until: instant to stop at, ns.
        pulse: called with the run and the virtual instant now and then.

    Raises:
        ScenarioError: it is invalid.
        FileExistsError: `folder` is there already.
    """
    made = Rehearsal(
        open_scenario(file, overrides),
        file,
        seed=seed,
        folder=folder,
        overrides=overrides,
        whole=whole,
    )
    return made.run(until, None if pulse is None else lambda now: pulse(made, now))


def open_scenario(file: Path, overrides: tuple[str, ...] = ()) -> Scenario:
    """Load a scenario file with everything it names checked.

    Raises:
        ScenarioError: it is invalid.
    """
    require(file)
    profiles, links = load_profiles(file)
    return load(
        str(file),
        overrides,
        lambda name: Path(name).read_text(),
        profiles=profiles,
        links=links.links,
    )
