"""Runs a soak: opens the stage, drives the world in real time, watches, judges, pauses, goes on.

Decides the order of things and when it ends: when the time is up, when a threshold is crossed, or when
somebody asks for a pause. Leaves out what is watched (witness.py, windows.py), judged (judge.py), kept
(state.py) and shown (`devicesim.report.soak*`).

Rules: at the end and at a pause the devices fall silent first, in the same turn of the loop in which time
stops, so that no message is taken by a device that cannot act on it any more; then the gateway drains,
then the broker stops. What the gateway hears while it drains still counts.
"""

from __future__ import annotations

import asyncio
import gc
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol

import msgspec

from devicesdk.aio.clock import RealClock
from devicesdk.wire.timebase import MS, SECOND, to_seconds
from devicesim.live.drive import LOOK_EVERY_S, ready
from devicesim.live.soak import plan as plans
from devicesim.live.soak import state as states
from devicesim.live.soak.books import KINDS, PATIENCE_NS, Books
from devicesim.live.soak.judge import judge_aborts, judge_leaks, leaking
from devicesim.live.soak.metrics import Glance, serving
from devicesim.live.soak.plan import Plan
from devicesim.live.soak.taps import listen_in
from devicesim.live.soak.windows import Counts, Windows, quantiles
from devicesim.live.soak.witness import Witness
from devicesim.live.stage import LiveStage, Setting, open_stage
from devicesim.rehearse import Rehearsal
from devicesim.report.record import Band, RunRecord, Venue
from devicesim.report.soak_record import (
    AbortRow,
    Ending,
    LeakRow,
    MessageRow,
    SoakRecord,
    WindowRow,
)
from devicesim.scenario.checks import Soak
from devicesim.world.world import one_core
from gateway.core import stimuli as hear

BEAT: Final = "soak-beat"
"""Name of the kill and of the flag that are flipped; no device has a feature of that name."""
LEAK_LOOK_NS: Final = 30 * SECOND
_FLAG: Final = '{"state":"ENABLED","variants":{"on":true,"off":false},"defaultVariant":"%s"}'


class Stop:
    """Somebody wants the soak to pause."""

    def __init__(self) -> None:
        self.asked = False
        self.at_once: Callable[[], None] = lambda: None
        """Ends what must not outlive us; set while a broker of ours runs."""


class Show(Protocol):
    """Who is told while it runs."""

    def began(self, devices: int, broker: str, metrics: str | None) -> None:
        """Everything is open."""
        ...

    def ticked(self, elapsed_s: float, online: int, devices: int, unexplained: int) -> None:
        """Time passes."""
        ...

    def closed(self, row: WindowRow) -> None:
        """A window has ended."""
        ...


class SoakRun:
    """One soak, or one part of it.

    Args:
        plan: what was asked for.
        folder: for the files of the run.
        stop: asked to pause.
        show: told while it runs.
        earlier: the state of the part before, to go on from.
        prepare: called with the stage before the world is assembled; for tests that plant faults.
        patience_ns: how long a reachable receiver may take before a message is missed.
    """

    def __init__(
        self,
        plan: Plan,
        folder: Path,
        *,
        stop: Stop,
        show: Show,
        earlier: states.State | None = None,
        prepare: Callable[[LiveStage], None] = lambda _: None,
        patience_ns: int = PATIENCE_NS,
    ) -> None:
        self.plan, self.folder, self._stop, self._show = plan, folder, stop, show
        self._earlier, self._prepare, self._patience_ns = earlier, prepare, patience_ns
        whole = plans.scenario_of(plan)
        passed_ns = earlier.scenario_ns if earlier is not None else 0
        self.scenario = plans.rest_of(whole, passed_ns) if passed_ns else whole
        self.soak = whole.soak or Soak()
        self.windows = Windows(plan.window(whole.soak))
        self.began = earlier.began if earlier is not None else datetime_now()
        self._before_ns = earlier.elapsed_ns if earlier is not None else 0
        self._clock = RealClock()
        self._origin: int | None = None
        self.witness = Witness(self.now, self.windows.took, plan.speed)
        self._stage: LiveStage
        self._rehearsal: Rehearsal
        self._aborts: list[AbortRow] = []
        self._leaks: list[LeakRow] = []
        self._story = ""
        self._ending: Ending = "complete"
        self._beats = 0
        self._beat_at = self._leak_at = 0
        self._lag_ns = 0

    def now(self) -> int:
        """Real nanoseconds that the soak has run, pauses left out; time begins with `_begin`."""
        if self._origin is None:
            return self._before_ns
        return self._before_ns + self._clock.now() - self._origin

    def _instant(self, wall_ns: int) -> int:
        """The real instant of the soak at which the wall clock said so."""
        return self.now() - self._clock.wall_ms() * MS + wall_ns

    # -- a life ---------------------------------------------------------------------------------

    async def run(self) -> SoakRecord:
        """Run it, and write the files of the run.

        Raises:
            BrokerError: no broker could be started, or none is known by that name.
            TimeoutError: the gateway was not ready in time.
            StateError: the paused soak was one of another fleet.
        """
        setting = Setting(
            folder=self.folder / "state",
            speed=self.plan.speed,
            broker=self.plan.broker,
            direct=self.plan.direct,
            persistence=self.plan.persistence,
            autosave_changes=self.plan.autosave_changes,
        )
        async with open_stage(setting) as stage:
            self._open(stage)
            port = self.plan.metrics_port
            with (
                _frozen(),
                one_core(),
                serving(self.glance, port) if port >= 0 else nullcontext() as url,
            ):
                self._show.began(len(self._rehearsal.world.hosts), stage.running.name, url)
                digest, scenario_ns = await self._drive()
            stopped_at = self.now()
            ends = msgspec.structs.replace(self.witness.ends)
            kept = self._kept() if self._ending == "paused" else None
        self._stop.at_once = lambda: None
        self.books.settle(stopped_at, ends)  # what the gateway heard while it drained
        self.books.validate()
        record = self._record(digest, stopped_at)
        if kept is not None:
            states.save(self.folder, self._state(kept, record, stopped_at, scenario_ns))
        return record

    @property
    def books(self) -> Books:
        """The books; those of an earlier part go on."""
        return self.witness.books

    def _open(self, stage: LiveStage) -> None:
        self._stage = stage
        self._stop.at_once = stage.running.kill if stage.running.ours else lambda: None
        self.witness.forgets = not (
            self.plan.persistence and stage.running.name.startswith("mosquitto")
        )
        self.witness.saves_every(
            self.plan.autosave_changes, lambda: self._instant(stage.running.saved_at_ns())
        )
        self._prepare(stage)
        listen_in(stage, self.witness)
        self._rehearsal = Rehearsal(
            self.scenario, Path(self.plan.file), seed=self.plan.seed, stage=stage
        )
        world, earlier = self._rehearsal.world, self._earlier
        books = Books([host.device for host in world.hosts], self._patience_ns)
        if earlier is not None:
            states.restore_devices(world.hosts, earlier)
            books.load(earlier.books)
            self.windows.load(earlier.windows)
        self.witness.bind(world, books)

    async def _drive(self) -> tuple[str, int]:
        """Run the world until the time is up or something ends it."""
        stage, world = self._stage, self._rehearsal.world
        gateway, pacer = stage.live_gateway, stage.pacer
        assert stage.clock is not None
        world.open(None, None)
        async with ready(stage) as calls:
            begins, left_ns = stage.clock.now(), self.plan.for_ns - self._before_ns
            self._begin(begins)
            pacer.until = begins + round(left_ns * self.plan.speed)
            pacer.pulse = world.breathe
            pacer.start()
            while not self._over():
                if calls.done():
                    calls.result()
                await asyncio.sleep(LOOK_EVERY_S)
                pacer.catch_up()
                self._look()
            pacer.stop()
            for path in stage.paths:
                path.shut()
            if self.windows.ends_at - self.now() < self.windows.window_ns * 9 // 10:
                self._close_window()
            await gateway.look()
            return world.close(world.now), world.now - begins

    def _begin(self, scenario_now: int) -> None:
        self._origin = self._clock.now()
        self.witness.begin(scenario_now)
        self.windows.begin(self.now())
        self._stage.pacer.lag_ns_max = 0
        if self._earlier is not None:
            said, heard, again, lost = self.books.sums()
            self.windows.carry(Counts(said, heard, again, lost, self._restarts))
        self._beat_at = self.now() + self.plan.beat_ns
        self._leak_at = self.now() + LEAK_LOOK_NS

    def _over(self) -> bool:
        if self._story:
            return True
        if self._stop.asked:
            self._ending = "paused"
            return True
        return self.now() >= self.plan.for_ns

    def _look(self) -> None:
        """Everything that is looked at twenty times a second."""
        now, stage = self.now(), self._stage
        self.witness.look(stage.live_gateway)
        self.windows.read(now, stage.running.pid, self.witness.online)
        if self.plan.beat_ns and now >= self._beat_at:
            self._beat_at = now + self.plan.beat_ns
            self._beat()
        if now >= self.windows.ends_at:
            self._close_window()
            self._judge_thresholds()
        if now >= self._leak_at:
            self._leak_at = now + LEAK_LOOK_NS
            self._judge_leaks_early()
        books = self.books
        self._show.ticked(
            to_seconds(now), self.witness.online, len(books.devices), books.unexplained
        )

    def _beat(self) -> None:
        """The operator flips a kill and a flag, so that their way is timed all along."""
        self._beats += 1
        odd = bool(self._beats % 2)
        gateway, now = self._rehearsal.world.gateway, self._rehearsal.world.now
        gateway.stimulate(hear.Kill(BEAT, alive=not odd), now)
        for group in self.scenario.fleet:
            flag = _FLAG % ("on" if odd else "off")
            gateway.stimulate(hear.SetFlag(group.group, BEAT, flag), now)

    # -- judgement ------------------------------------------------------------------------------

    def _close_window(self) -> None:
        now, witness, pacer = self.now(), self.witness, self._stage.pacer
        self.books.settle(now, witness.ends)
        self._lag_ns = max(self._lag_ns, pacer.lag_ns_max)
        row = self.windows.close(
            now,
            self.books,
            online=witness.online,
            online_min=witness.online_min,
            restarts=self._restarts,
            lag_s=to_seconds(pacer.lag_ns_max) / self.plan.speed,
            broker_pid=self._stage.running.pid,
        )
        pacer.lag_ns_max = 0
        witness.online_min = witness.online
        self._show.closed(row)

    @property
    def _restarts(self) -> int:
        earlier = self._earlier.restarts if self._earlier is not None else 0
        return earlier + self._rehearsal.world.broker.restarts

    def _judge_thresholds(self) -> None:
        self._aborts = judge_aborts(self.soak, self.books, self._rehearsal.drill.meter.read)
        crossed = next((row for row in self._aborts if not row.held), None)
        if crossed is not None:
            self._abort(f"{crossed.what}: {crossed.story}")

    def _judge_leaks_early(self) -> None:
        points = self.windows.readings.points
        seen = points["tasks"]
        leak = leaking(
            judge_leaks(points, self.soak.leak), seen[-1][0] - seen[0][0] if seen else 0.0
        )
        if leak is not None:
            self._abort(f"{leak.what}: {leak.story}")

    def _abort(self, story: str) -> None:
        self._ending = "aborted"
        self._story = f"Ended early at +{to_seconds(self.now()):.0f} s: {story}"

    # -- what is left ---------------------------------------------------------------------------

    def glance(self) -> Glance:
        """The soak as it is now."""
        points = self.windows.readings.points
        return Glance(
            elapsed_s=to_seconds(self.now()),
            devices=len(self.books.devices),
            online=self.witness.online,
            restarts=self._restarts,
            lag_s=to_seconds(self._lag_ns),
            tallies=self.books.tallies,
            windows=self.windows,
            held={name: found[-1][1] for name, found in points.items() if found},
        )

    def _record(self, digest: str, stopped_at: int) -> SoakRecord:
        run = self._rehearsal.conclude(digest, None, self._venue())
        self._leaks = judge_leaks(self.windows.readings.points, self.soak.leak)
        self._aborts = judge_aborts(self.soak, self.books, self._rehearsal.drill.meter.read)
        failed = self._failures(run)
        earlier = self._earlier
        return SoakRecord(
            scenario=run.scenario, title=run.title, seed=run.seed,
            verdict="failed" if failed or self._ending == "aborted" else "passed",
            ending=self._ending, story=self._tell(failed), began=self.began, devices=run.devices,
            asked_s=to_seconds(self.plan.for_ns), lasted_s=to_seconds(stopped_at),
            window_s=to_seconds(self.windows.window_ns),
            parts=1 if earlier is None else earlier.parts + 1,
            restart_every_s=_seconds(self.plan.restart_every_ns), restarts=self._restarts,
            beat_s=_seconds(self.plan.beat_ns or None), windows=self.windows.rows,
            messages=message_rows(self.books), stories=list(self.books.stories),
            latencies={name: quantiles(sketch) for name, sketch in self.windows.total.items()},
            leaks=self._leaks, aborts=self._aborts, checks=run.checks,
            bands=[*(earlier.bands if earlier else []), *self._bands(run)],
            skipped=run.skipped, venue=run.venue,
            memory_mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            cpu_s=run.cpu_s + (earlier.cpu_s if earlier else 0.0),
            reproduce=self.plan.command(), machine=run.machine, versions=run.versions,
        )  # fmt: skip

    def _failures(self, run: RunRecord) -> list[str]:
        failed = []
        if self.books.unexplained:
            failed.append(f"{self.books.unexplained} unexplained messages")
        failed += [row.what for row in self._leaks if row.held is False]
        failed += [row.what for row in self._aborts if not row.held]
        return failed + [check.name for check in run.checks if check.held is False]

    def _tell(self, failed: list[str]) -> str:
        if self._ending == "aborted":
            return self._story
        if self._ending == "paused":
            return f"Paused; go on with: fleetdrill soak --resume {self.folder}"
        return f"Ran to its end; did not hold: {', '.join(failed)}" if failed else "Ran to its end."

    def _bands(self, run: RunRecord) -> list[Band]:
        """Faults, from scenario seconds of this part to real seconds of the soak."""

        def real_s(at_s: float) -> float:
            return to_seconds(max(0, self.witness.real(round(at_s * SECOND))))

        return [
            Band(real_s(band.start_s), real_s(band.end_s), band.label, band.kind)
            for band in run.bands
        ]

    def _venue(self) -> Venue:
        running = self._stage.running
        return Venue(
            mode="real", speed=self.plan.speed, broker=running.name, lacks=list(running.lacks),
            lag_s=to_seconds(self._lag_ns),
        )  # fmt: skip

    def _kept(self) -> tuple[dict[str, states.Device], list[bytes]]:
        return states.devices_of(self._rehearsal.world.hosts)

    def _state(
        self,
        kept: tuple[dict[str, states.Device], list[bytes]],
        record: SoakRecord,
        stopped_at: int,
        scenario_ns: int,
    ) -> states.State:
        before = self._earlier.scenario_ns if self._earlier is not None else 0
        return states.State(
            elapsed_ns=stopped_at, scenario_ns=before + scenario_ns, parts=record.parts,
            restarts=self._restarts, began=self.began, cpu_s=record.cpu_s,
            books=self.books.dump(), windows=self.windows.dump(), bands=record.bands,
            devices=kept[0], chunks=kept[1],
        )  # fmt: skip


def message_rows(books: Books) -> list[MessageRow]:
    """The books as the report's table, ways up first, in the order of `KINDS`."""
    return [
        MessageRow(
            kind=kind, way="up" if way == "up" else "down", said=t.said, once=t.once,
            waiting=t.waiting, unexplained=t.unexplained, causes=dict(sorted(t.causes.items())),
            again=t.again, nowhere=t.nowhere, wills=t.wills, repeated=t.repeated,
        )
        for kind, way in KINDS.items()
        for t in (books.tallies[kind],)
    ]  # fmt: skip


def datetime_now() -> str:
    """This instant, ISO 8601, UTC, to the second."""
    instant = datetime.fromtimestamp(RealClock().wall_ms() / 1000, UTC)
    return instant.replace(microsecond=0).isoformat().replace("+00:00", "Z")


def _seconds(value_ns: int | None) -> float | None:
    return None if value_ns is None else to_seconds(value_ns)


@contextmanager
def _frozen() -> Iterator[None]:
    """Keep the collector from walking the fleet that was assembled: it lives as long as the soak."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
