"""Workers that are actors of Ray, on this machine or on a cluster.

Decides how Ray is started, how an actor is spoken to and how its death is told. Leaves out who gets which
task (engines.py). Ray comes with an extra and is imported here alone.

Rules: a Ray that is already running in this process, or the cluster that RAY_ADDRESS names, is used as it is
and left as it was; one of our own listens on loopback alone, reports nothing to anybody and ends with us.
Every node of a cluster must have the same version of this package and the files of the scenario.
"""

from __future__ import annotations

import os
from typing import Any, Final

import msgspec

from devicesim.sweep.engines import EngineError, Hand, HandLost
from devicesim.sweep.processes import environment
from devicesim.sweep.task import Answer, Refused, Setup, Task
from devicesim.sweep.worker import begin

_DECODER: Final = msgspec.msgpack.Decoder(Answer)
STARTS_MAX: Final = 3
_STORE_BYTES: Final = 128 * 1024 * 1024
"""Ray's object store: our results are a few hundred bytes each."""


class _Actor:
    """What runs in a worker of Ray; speaks bytes, so that both sides need to agree on nothing else."""

    def __init__(self, setup: bytes) -> None:
        self._bench = begin(msgspec.msgpack.decode(setup, type=Setup))

    def do(self, task: bytes) -> bytes:
        """One task."""
        if isinstance(self._bench, Refused):
            return msgspec.msgpack.encode(self._bench)
        return msgspec.msgpack.encode(self._bench.do(msgspec.msgpack.decode(task, type=Task)))


class RayHand:
    """One actor."""

    def __init__(self, ray: Any, actor: Any) -> None:
        self._ray, self._actor = ray, actor
        self.promise: Any = None

    def give(self, task: Task) -> None:
        """Begin a task."""
        self.promise = self._actor.do.remote(msgspec.msgpack.encode(task))

    def answer(self) -> Answer:
        """What it says.

        Raises:
            HandLost: it died.
        """
        try:
            answer: Answer = _DECODER.decode(self._ray.get(self.promise))
        except self._ray.exceptions.RayError as error:
            raise HandLost(f"died: {str(error).splitlines()[0]}") from error
        return answer

    def dismiss(self) -> None:
        """End it."""
        self._ray.kill(self._actor, no_restart=True)


class RayCrew:
    """Starts actors.

    Args:
        setup: what all tasks share.
        jobs: processors that a Ray of our own may use.

    Raises:
        ModuleNotFoundError: Ray is not installed; says how to install it.
    """

    def __init__(self, setup: Setup, jobs: int) -> None:
        self._ray = _import_ray()
        self._ours = not self._ray.is_initialized()
        if self._ours:
            _start(self._ray, jobs)
        self._setup = msgspec.msgpack.encode(setup)
        self._make: Any = self._ray.remote(num_cpus=1, max_restarts=0, max_task_retries=0)(_Actor)

    def hire(self) -> RayHand:
        """Start one."""
        return RayHand(self._ray, self._make.remote(self._setup))

    def ready(self, hands: list[Hand], wait_s: float) -> list[Hand]:
        """Those that have something to say, or have died."""
        mine = [hand for hand in hands if isinstance(hand, RayHand)]
        promises = [hand.promise for hand in mine]
        heard, _ = self._ray.wait(promises, num_returns=1, timeout=wait_s)
        return [hand for hand in mine if hand.promise in heard]

    def close(self) -> None:
        """End a Ray of our own."""
        if self._ours:
            self._ray.shutdown()


def _import_ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "expected the package ray for --engine ray, found none: pip install 'fleetdrill[ray]', "
            "or take --engine processes",
            name="ray",
        ) from error
    return ray


def _start(ray: Any, jobs: int) -> None:
    """Join the cluster that the environment names, else start Ray on this machine alone."""
    if os.environ.get("RAY_ADDRESS"):
        ray.init(log_to_driver=False)
        return
    os.environ.update(environment())  # its processes inherit ours
    for attempt in range(1, STARTS_MAX + 1):
        try:
            _start_here(ray, jobs)
        except Exception as error:
            # Ray gives its own processes 30 s to come up, which a busy machine may exceed.
            ray.shutdown()
            if attempt == STARTS_MAX:
                raise EngineError(
                    f"expected Ray to start on this machine, found after {attempt} attempts: {error}"
                ) from error
        else:
            return


def _start_here(ray: Any, jobs: int) -> None:
    ray.init(
        num_cpus=jobs, include_dashboard=False, log_to_driver=False, configure_logging=False,
        object_store_memory=_STORE_BYTES, _node_ip_address="127.0.0.1",
    )  # fmt: skip
