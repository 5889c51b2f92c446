import asyncio
import threading

import pytest

from devicesdk.host.worker import JOBS_MAX, HungError, Worker


class Answers(list):
    def __init__(self, enough):
        super().__init__()
        self.enough, self.done = enough, asyncio.Event()

    def __call__(self, answer):
        self.append(answer)
        if len(self) == self.enough:
            self.done.set()

    async def wait(self):
        await asyncio.wait_for(self.done.wait(), 60)
        return list(self)


async def test_jobs_run_in_order_elsewhere_and_answers_come_here():
    here, answers, errors = threading.get_ident(), Answers(3), []
    worker = Worker(errors.append, asyncio.get_running_loop())
    for number in range(3):
        worker.ask(lambda n=number: (n, threading.get_ident()), answers)
    found = await answers.wait()
    assert [number for number, _ in found] == [0, 1, 2]
    assert len({ident for _, ident in found} | {here}) == 2, "one thread, and not the loop's"
    assert (worker.jobs, errors) == (0, [])
    worker.close()


async def test_a_job_that_raises_is_told_to_whoever_ends_the_host():
    errors = Answers(1)
    worker = Worker(errors, asyncio.get_running_loop())
    worker.ask(lambda: 1 // 0, lambda _: pytest.fail("there is no answer"))
    assert isinstance((await errors.wait())[0], ZeroDivisionError)
    worker.close()


async def test_after_close_nothing_is_told_and_too_many_jobs_are_refused():
    go, heard = threading.Event(), []
    worker = Worker(heard.append, asyncio.get_running_loop())
    for _ in range(JOBS_MAX):
        worker.ask(lambda: go.wait(60), heard.append)
    with pytest.raises(RuntimeError, match="at most"):
        worker.ask(lambda: None, heard.append)
    go.set()
    worker.close()
    await asyncio.sleep(0.05)
    assert heard == []


async def test_a_job_that_takes_too_long_is_asked_to_stop_and_answers():
    stop, answers, errors = threading.Event(), Answers(1), []
    worker = Worker(errors.append, asyncio.get_running_loop())
    worker.ask(lambda: stop.wait(60), answers, 0.05, stop.set)
    assert await answers.wait() == [True]
    assert (worker.stopped, worker.hung, errors) == (1, False, [])
    worker.close()


async def test_a_job_that_does_not_stop_ends_the_host_and_is_not_waited_for():
    go, errors, asked = threading.Event(), Answers(1), []
    worker = Worker(errors, asyncio.get_running_loop(), grace_s=0.05)
    worker.ask(lambda: go.wait(60), asked.append, 0.05, lambda: asked.append("stop"))
    assert isinstance((await errors.wait())[0], HungError)
    assert worker.hung
    worker.close()
    assert asked == ["stop"]
    go.set()


async def test_the_clock_of_a_limit_starts_when_the_job_does():
    stops, answers = [], Answers(2)
    worker = Worker(pytest.fail, asyncio.get_running_loop())
    worker.ask(lambda: threading.Event().wait(2.2), answers)
    worker.ask(lambda: 7, answers, 2.0, lambda: stops.append(1))
    assert await answers.wait() == [False, 7]
    assert stops == []
    worker.close()
