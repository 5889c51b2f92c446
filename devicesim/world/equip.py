"""A bundle as a scenario wants it: with lighter variants in its images, for less hardware, dearer to run,
with another budget or a kit that lets more pass.

Decides what of a bundle's description a scenario may change, and that it makes sense. Leaves out signing
(bundles.py) and costs that do not come with an inference (wakelock.py).

Rules: models, samples of kits and bin edges stay as the bundle's files have them; a bundle that the scenario says
nothing about is passed through as it is.
"""

from __future__ import annotations

from msgspec.structs import replace

from devicesdk.bundle.manifest import RULE
from devicesdk.bundle.source import check_carry
from devicesdk.inference.kit import KitRule
from devicesdk.inference.source import SourceError
from devicesdk.wire.timebase import MS
from devicesim.scenario.release import Bundle
from devicesim.scenario.release import KitRule as SaidRule
from devicesim.world.senses import GAUGE, AnySource, kind_of


def equipped(source: AnySource, said: Bundle) -> AnySource:
    """The bundle as the scenario says.

    Raises:
        SourceError: it is to carry what is not there, or a rule that reads dials where there are none.
    """
    if said.carry:
        source = _carrying(source, said)
    if said.hardware:
        prefer = {name: source.spec.preferred(name) for name in said.hardware}
        source = replace(source, spec=replace(source.spec, prefer=prefer))
    if said.costs.work != 1.0:
        variants = {
            name: replace(record, macs=max(1, round(record.macs * said.costs.work)))
            for name, record in source.spec.variants.items()
        }
        source = replace(source, spec=replace(source.spec, variants=variants))
    return _promising(source, said)


def _promising(source: AnySource, said: Bundle) -> AnySource:
    """With the budget and the rule of the kit that the scenario gives it."""
    if said.budget_ns is not None:
        budgets = replace(source.spec.budgets, latency_ms_p95_max=max(1, said.budget_ns // MS))
        source = replace(source, spec=replace(source.spec, budgets=budgets))
    if said.kit is not None:
        record = replace(source.spec.kit, rule=_loosened(source.spec.kit.rule, said.kit))
        source = replace(source, spec=replace(source.spec, kit=record))
    return source


def _loosened(rule: KitRule, said: SaidRule) -> KitRule:
    if said.tolerance_permille is not None:
        rule = replace(rule, tolerance_permille=said.tolerance_permille)
    if said.changed_labels_max is not None:
        rule = replace(rule, argmax_mismatches_max=said.changed_labels_max)
    return rule


def _carrying(source: AnySource, said: Bundle) -> AnySource:
    where = f"the scenario's bundle {said.reference}"
    check_carry(where, said.carry, source.spec.variants)
    if kind_of(source.spec.id) != GAUGE and any(RULE in names for names in said.carry.values()):
        raise SourceError(
            f"expected carry of {where} without {RULE!r}, which reads dials, found it; name a lighter "
            "variant of the bundle"
        )
    return replace(source, spec=replace(source.spec, carry=said.carry))
