"""Rehearse outages in a test suite of your own.

One decorated function is one test item for each seed::

    import fleetdrill

    @fleetdrill.test(scenario="scenarios/first-light.yaml", seeds=200, set={"scale": 0.05})
    def test_the_fleet_outlives_a_carrier_outage(run: fleetdrill.RunRecord) -> None:
        assert run.rollouts[0].state == "completed"

Decides what a test asks for. Leaves out how it is run: the pytest plugin (``devicesim.pytest_plugin``), which
comes with the package and does nothing where no test is decorated.

Rule: importing this costs nothing; numpy, onnxruntime and the simulator are loaded by the first run.
"""

# ruff: noqa: PT028 - `test` is what it must be called, and it is none

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeVar

if TYPE_CHECKING:
    from devicesim.report.record import RunRecord

__all__ = ["RunRecord", "Wanted", "test"]

MARK: Final = "__fleetdrill__"
SEEDS_MAX: Final = 100_000
JOBS_MAX: Final = 256
_Test = TypeVar("_Test", bound=Callable[..., object])
Each = Literal["each", "any"]


class Wanted(NamedTuple):
    """What a decorated test asks for; see `test`."""

    scenario: str
    seeds: tuple[int, ...]
    overrides: tuple[str, ...]
    jobs: int
    until: str | None
    checks: bool
    sometimes: Each


def test(
    scenario: str,
    *,
    seeds: int | Sequence[int] = 1,
    set: Mapping[str, object] | None = None,  # noqa: A002 - as `--set` on the command line
    jobs: int = 1,
    until: str | None = None,
    checks: bool = True,
    sometimes: Each | None = None,
) -> Callable[[_Test], _Test]:
    """Make one test item of each seed; the function may take ``run``, the record of that seed's run.

    Args:
        scenario: the file; looked for from the test's folder, the folders above it, and pytest's root.
        seeds: how many, from 1 on, or which ones.
        set: overrides by path, such as ``{"scale": 0.05}``.
        jobs: processes that run seeds ahead; with pytest-xdist its workers do, and this is ignored.
        until: scenario time to stop at, such as ``6h``.
        checks: whether a check that fails fails the test, after the function's own assertions.
        sometimes: ``each``: a hardship that a seed has not exercised fails that seed; ``any``: it is
            enough that one of the seeds has, which is told at the end. By default ``any`` of several.

    Raises:
        ValueError: no seeds, too many, or the same one twice; no jobs.
    """
    numbers = tuple(range(1, seeds + 1)) if isinstance(seeds, int) else tuple(seeds)
    if not 1 <= len(numbers) <= SEEDS_MAX or len(frozenset(numbers)) != len(numbers):
        raise ValueError(f"expected 1 to {SEEDS_MAX} different seeds, found {seeds!r}")
    if not 1 <= jobs <= JOBS_MAX:
        raise ValueError(f"expected 1 to {JOBS_MAX} jobs, found {jobs}")
    said = sometimes or ("any" if len(numbers) > 1 else "each")
    overrides = tuple(f"{path}={value}" for path, value in (set or {}).items())
    wanted = Wanted(scenario, numbers, overrides, jobs, until, checks, said)

    def mark(function: _Test) -> _Test:
        import pytest

        setattr(function, MARK, wanted)
        marked: _Test = pytest.mark.usefixtures("run")(function)
        return marked

    return mark


test.__test__ = False  # type: ignore[attr-defined]  # `from fleetdrill import test` is no test


def __getattr__(name: str) -> Any:
    """Load the type of `run` when somebody asks for it."""
    if name == "RunRecord":
        from devicesim.report.record import RunRecord

        return RunRecord
    raise AttributeError(f"module 'fleetdrill' has no attribute {name!r}")
