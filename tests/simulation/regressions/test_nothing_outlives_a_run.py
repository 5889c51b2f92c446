"""A world that nobody holds any more is gone, with all that was still planned in it.

Found when a struct of the kernel was hidden from the garbage collector to save time: calls that were planned
past the end of a run kept every world of a process alive, and at exit the sketches' library listed
its leaks on the terminal.
"""

import gc

from devicesim.world.world import World
from tests_kit import worlds


def worlds_alive():
    gc.collect()
    return sum(type(thing) is World for thing in gc.get_objects())


def test_a_world_is_gone_when_nobody_holds_it():
    before = worlds_alive()
    drill = worlds.make_drill(worlds.scenario_text(count=2, duration="30m"))
    drill.world.run()
    drill.world.kernel.at(10**15, lambda now, world: None, drill.world)
    del drill
    assert worlds_alive() == before, "a world outlives its run: what hides it from the collector?"
