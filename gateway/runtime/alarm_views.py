"""Alarms as people are told of them: one, and pages of them.

Decides which alarms a filter passes and the order of pages. Leaves out what an alarm says (gateway/core/alarms/views.py).
"""

from __future__ import annotations

import msgspec

from gateway.core.alarms.views import AlarmCounts, AlarmView
from gateway.core.gateway import Gateway
from gateway.runtime.verbs import ListAlarms, VerbError

NONE = AlarmCounts(0, 0, 0, 0, 0, 0)


class AlarmsPage(msgspec.Struct, frozen=True):
    """Alarms by their ids, and all open ones in sum; `next` is the last id, None at the end."""

    alarms: list[AlarmView]
    counts: AlarmCounts
    next: int | None


def counts_of(core: Gateway) -> AlarmCounts:
    """Open alarms in sum."""
    return NONE if core.alarms is None else core.alarms.counts()


def alarms_page(core: Gateway, verb: ListAlarms) -> AlarmsPage:
    """A page of alarms."""
    found = [one for one in core.alarm_views() if _passes(one, verb)]
    if verb.newest:
        found.reverse()
    if verb.after:
        after = verb.after
        found = [one for one in found if (one.id < after if verb.newest else one.id > after)]
    page = found[: verb.limit]
    return AlarmsPage(page, counts_of(core), page[-1].id if len(found) > verb.limit else None)


def alarm_of(core: Gateway, alarm: int) -> AlarmView:
    """One alarm.

    Raises:
        VerbError: ``unknown``.
    """
    found = None if core.alarms is None else core.alarms.view(alarm)
    if found is None:
        raise VerbError("unknown", f"expected the id of an alarm that is kept, found {alarm}")
    return found


def _passes(one: AlarmView, verb: ListAlarms) -> bool:
    open_ = one.state != "cleared"
    return (
        (not verb.state or one.state == verb.state or (verb.state == "open" and open_))
        and (not verb.kind or one.kind == verb.kind)
        and (not verb.severity or one.severity == verb.severity)
    )
