"""While a world runs, BLAS has one thread.

Found when a run of 1,000 devices took 14 s by the wall and 21 s of processor time: products of small
matrices woke threads that then spun for work that never came. And the last bits of a sum of floats
depend on how many threads there are: a digest would depend on the machine's cores.
"""

from threadpoolctl import threadpool_info, threadpool_limits

from tests_kit import worlds


def blas_threads() -> set[int]:
    return {
        library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"
    }


def test_a_world_computes_on_the_core_it_runs_on():
    seen = set()
    drill = worlds.make_drill(worlds.scenario_text(count=2, duration="30m"))
    with threadpool_limits(limits=2, user_api="blas"):
        outside = blas_threads()
        assert outside, "numpy brings no BLAS that anybody knows: this test sees nothing"
        drill.world.kernel.at(10**9, lambda now, _: seen.update(blas_threads()))
        drill.world.run()
        assert seen == {1}
        assert blas_threads() == outside, "whoever called gets his threads back"
