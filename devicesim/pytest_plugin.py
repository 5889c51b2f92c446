"""The pytest plugin: a function decorated with `fleetdrill.test` becomes one test item a seed.

Decides how seeds become items (``seed=17``), what a failing one prints and leaves behind, and what the
session says at its end. Leaves out the runs (pytest_runs.py).

One item a seed, because then pytest's own tools work on seeds: ``-n 8`` of pytest-xdist spreads them,
``-x`` and ``--lf`` stop at and repeat the bad ones, a JUnit file has one case each.

Rules: loaded into every session of whoever has installed the package, so it imports pytest and nothing
else; the simulator is loaded by the first decorated test that runs. A session without decorated tests
pays an attribute look-up a test.
"""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from devicesim.pytest_runs import Ahead, Wish
    from devicesim.report.record import RunRecord
    from fleetdrill import Wanted

MARK: Final = "__fleetdrill__"
SEED: Final = "_fleetdrill_seed"
ROW: Final = "fleetdrill.sometimes"
SEEDS_SHOWN_MAX: Final = 10
STORIES_MAX: Final = 5
_AHEAD: Final = pytest.StashKey["Ahead"]()
_RUN: Final = pytest.StashKey["RunRecord"]()
_TALLY: Final = pytest.StashKey["Tally"]()
_PROPERTIES: Final = (
    "scenario", "seed", "verdict", "trace_digest", "devices", "virtual_s", "wall_s", "reproduce",
)  # fmt: skip


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options."""
    group = parser.getgroup("fleetdrill", "rehearsed outages")
    group.addoption(
        "--fleetdrill-seeds", type=_at_least_one, metavar="N",
        help="run at most the first N seeds of each test",
    )  # fmt: skip
    group.addoption(
        "--fleetdrill-seed", type=int, metavar="K", help="run this seed alone, to repeat a failure"
    )
    group.addoption(
        "--fleetdrill-out", default="fleetdrill-reports", metavar="DIR",
        help="where failing seeds leave their reports (default: %(default)s)",
    )  # fmt: skip
    group.addoption(
        "--fleetdrill-summary", metavar="FILE",
        help="append a summary in Markdown, such as $GITHUB_STEP_SUMMARY",
    )  # fmt: skip


def _at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(f"expected at least one seed, found {number}")
    return number


def pytest_configure(config: pytest.Config) -> None:
    """Count what reports say, in the process that hears all of them."""
    if not hasattr(config, "workerinput"):
        config.stash[_TALLY] = tally = Tally(config)
        config.pluginmanager.register(tally, "fleetdrill-tally")


def _wanted(function: object) -> Wanted | None:
    wanted: Wanted | None = getattr(function, MARK, None)
    return wanted


# -- items ----------------------------------------------------------------------------------------


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One item a seed."""
    wanted = _wanted(metafunc.function)
    if wanted is None:
        return
    config = metafunc.config
    _find(wanted.scenario, Path(metafunc.definition.path), config.rootpath)
    one = config.getoption("--fleetdrill-seed")
    seeds = wanted.seeds if one is None else (one,)
    seeds = seeds[: config.getoption("--fleetdrill-seeds")]
    metafunc.fixturenames.append(SEED)
    metafunc.parametrize(SEED, seeds, ids=[f"seed={seed}" for seed in seeds], indirect=True)


def _find(scenario: str, test: Path, root: Path) -> Path:
    """The scenario from the test's folder, a folder above it (up to pytest's root), or from here."""
    above = [folder for folder in test.parents if folder == root or root in folder.parents]
    places = [*(above or [test.parent]), root, Path.cwd()]
    for place in places:
        if (place / scenario).is_file():
            return (place / scenario).resolve()
    looked = ", ".join(str(place) for place in dict.fromkeys(places))
    pytest.fail(f"expected the scenario {scenario}, found none from {looked}", pytrace=False)


@pytest.fixture
def _fleetdrill_seed(request: pytest.FixtureRequest) -> int:
    seed: int = request.param
    return seed


@pytest.fixture
def run(request: pytest.FixtureRequest) -> RunRecord:
    """The record of this seed's run (`fleetdrill.RunRecord`)."""
    item = request.node
    wanted = _wanted(getattr(item, "function", None))
    if wanted is None:
        pytest.fail("expected @fleetdrill.test(...) on a test that takes `run`", pytrace=False)
    record = _rehearse(item, wanted, _seed_of(item))
    item.stash[_RUN] = record
    for name in _PROPERTIES:
        item.user_properties.append((f"fleetdrill.{name}", str(getattr(record, name))))
    return record


def _rehearse(item: pytest.Function, wanted: Wanted, seed: int) -> RunRecord:
    try:
        from devicesim import pytest_runs
    except ModuleNotFoundError as error:
        pytest.fail(
            f"expected the simulator, found no {error.name}: pip install 'fleetdrill[sim]'",
            pytrace=False,
        )
    wish = _wish(item, wanted, seed)
    try:
        if wanted.jobs == 1 or hasattr(item.config, "workerinput"):
            record = pytest_runs.rehearse_one(wish)
        else:
            record = _ahead(item, wanted).take(wish)
    except pytest_runs.Refused as refused:
        pytest.fail(str(refused), pytrace=False)
    complete = "all" if len(wanted.seeds) > 1 and wanted.sometimes == "any" else "each"
    item.user_properties.append((ROW, pytest_runs.exercised(record)))
    item.user_properties.append(("fleetdrill.seeds", f"{complete} {len(wanted.seeds)}"))
    return record


def _wish(item: pytest.Function, wanted: Wanted, seed: int) -> Wish:
    from devicesim.pytest_runs import Wish

    file = _find(wanted.scenario, item.path, item.config.rootpath)
    shown = os.path.relpath(file)
    near = shown if not shown.startswith("..") else str(file)
    return Wish(near, seed, wanted.overrides, wanted.until)


def _ahead(item: pytest.Function, wanted: Wanted) -> Ahead:
    """The processes, which begin with all seeds of this test that are selected."""
    from devicesim.pytest_runs import Ahead

    config = item.config
    if _AHEAD not in config.stash:
        config.stash[_AHEAD] = Ahead(wanted.jobs)
    ahead = config.stash[_AHEAD]
    mine = [
        other for other in item.session.items
        if isinstance(other, pytest.Function) and other.function is item.function
    ]  # fmt: skip
    rest = mine[mine.index(item) :] if item in mine else [item]
    ahead.order([_wish(one, wanted, _seed_of(one)) for one in rest])
    return ahead


def _seed_of(item: pytest.Function) -> int:
    seed = item.callspec.params[SEED]
    assert isinstance(seed, int), f"{item.nodeid} has no seed, but {seed!r}"
    return seed


# -- verdicts -------------------------------------------------------------------------------------


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """After the function's own assertions: did the checks hold?"""
    result = yield
    record = pyfuncitem.stash.get(_RUN, None)
    wanted = _wanted(pyfuncitem.function)
    if record is not None and wanted is not None and wanted.checks:
        from devicesim.pytest_runs import broken

        rows = broken(record, each=wanted.sometimes == "each")
        if rows:
            names = ", ".join(row.name for row in rows)
            pytest.fail(f"{record.scenario} seed {record.seed}: {names}", pytrace=False)
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A seed that failed, by its checks or its assertions, tells its story and keeps its report."""
    report = yield
    record = item.stash.get(_RUN, None)
    if record is not None and call.when == "call":
        if report.failed:
            _tell(item, record, report)
        del item.stash[_RUN]
    return report


def _tell(item: pytest.Item, record: RunRecord, report: pytest.TestReport) -> None:
    from devicesim.pytest_runs import keep, story

    page = keep(record, Path(item.config.getoption("--fleetdrill-out")))
    test = item.nodeid.partition("[")[0]
    again = f"pytest {shlex.quote(test)} --fleetdrill-seed {record.seed}"
    report.sections.append((f"fleetdrill seed={record.seed}", story(record, page, again)))
    item.user_properties.append(("fleetdrill.report", str(page)))
    report.user_properties.append(("fleetdrill.report", str(page)))


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Let the processes go."""
    if _AHEAD in config.stash:
        config.stash[_AHEAD].close()
        del config.stash[_AHEAD]


class Tally:
    """What all seeds of a session have exercised, and which failed.

    Args:
        config: whose session.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._rows: dict[str, list[str]] = {}
        self._asked: dict[str, str] = {}
        self._failed: dict[str, list[str]] = {}
        self._stories: dict[str, list[str]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A seed is done, here or in a worker."""
        if report.when != "call" or not report.user_properties:
            return
        said: dict[str, Any] = dict(report.user_properties)
        if ROW not in said:
            return
        test = report.nodeid.partition("[")[0]
        self._rows.setdefault(test, []).append(said[ROW])
        self._asked[test] = said["fleetdrill.seeds"]
        if report.failed:
            self._failed.setdefault(test, []).append(said["fleetdrill.seed"])
            told = [text for name, text in report.sections if name.startswith("fleetdrill seed=")]
            self._stories.setdefault(test, []).extend(told)

    def _never(self, test: str) -> list[str]:
        """What no seed has exercised, if all seeds ran and one would have been enough."""
        from devicesim.pytest_runs import summed_up

        if self._asked[test] != f"all {len(self._rows[test])}":
            return []
        return summed_up(self._rows[test])[1]

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """A hardship that no seed has exercised fails the session: it proved less than it says."""
        if session.exitstatus == pytest.ExitCode.OK and any(map(self._never, self._rows)):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        file = self._config.getoption("--fleetdrill-summary")
        if file and self._rows:
            with Path(file).open("a") as summary:
                summary.writelines(f"{line}\n" for line in self._markdown())

    def _outcome(self, test: str) -> str:
        failed = self._failed.get(test, [])
        named = ", ".join(failed[:SEEDS_SHOWN_MAX])
        more = " and more" if len(failed) > SEEDS_SHOWN_MAX else ""
        return f"{len(failed)} failed: {named}{more}" if failed else "all held"

    def _markdown(self) -> Iterator[str]:
        from devicesim.pytest_runs import summed_up

        yield "### Rehearsed outages"
        yield "| test | seeds | outcome |"
        yield "|---|---:|---|"
        for test, rows in self._rows.items():
            never = "".join(f"; **never exercised: {name}**" for name in self._never(test))
            yield f"| `{test}` | {len(rows)} | {self._outcome(test)}{never} |"
        for test, rows in self._rows.items():
            told = ["Exercised, rarest first:", *summed_up(rows)[0], ""]
            for story in self._stories.get(test, [])[:STORIES_MAX]:
                told += [story, ""]
            yield f"<details><summary>{test}</summary>\n\n```text"
            yield from told
            yield "```\n</details>"

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """A few lines for each decorated test."""
        if not self._rows:
            return
        from devicesim.pytest_runs import summed_up

        terminalreporter.section("fleetdrill")
        for test, rows in self._rows.items():
            terminalreporter.line(
                f"{test}: {len(rows)} seed{'s' if len(rows) != 1 else ''}, {self._outcome(test)}"
            )
            for line in summed_up(rows)[0]:
                terminalreporter.line(f"  {line}")
            if never := self._never(test):
                terminalreporter.line(
                    f"  failed: no seed has exercised {', '.join(never)}", red=True
                )
