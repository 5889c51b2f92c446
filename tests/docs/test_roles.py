"""docs/reference/roles.md says what the code does; `python tests/docs/test_roles.py` prints its tables."""

import ast
import inspect
import itertools
import re
from pathlib import Path

from gateway.core.access import roles
from gateway.core.access.roles import GRANTS, Permission, Role
from gateway.runtime import verbs
from gateway.runtime.permissions import IN_SUM, NEEDS, in_scope, tag_of

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "roles.md"


def meanings():
    """What each permission is for: the docstrings of the members."""
    (body,) = [
        node.body
        for node in ast.parse(inspect.getsource(roles)).body
        if isinstance(node, ast.ClassDef) and node.name == "Permission"
    ]
    pairs = itertools.pairwise(body)
    return {
        Permission[one.targets[0].id]: then.value.value
        for one, then in pairs
        if isinstance(one, ast.Assign)
    }


def who_may():
    lines = [f"| permission | {' | '.join(Role)} | what for |", "|---" * (len(Role) + 2) + "|"]
    meaning = meanings()
    for permission in Permission:
        marks = ["yes" if permission in GRANTS[role] else "" for role in Role]
        lines.append(f"| `{permission}` | {' | '.join(marks)} | {meaning[permission]} |")
    return "\n".join(line.replace("|  |", "| |").replace("|  |", "| |") for line in lines)


def what_it_takes():
    lines = ["| verb | permission | with a scope |", "|---|---|---|"]
    for kind, permission in sorted(NEEDS.items(), key=lambda item: tag_of(item[0])):
        lines.append(f"| `{tag_of(kind)}` | `{permission}` | {scoped(kind)} |")
    return "\n".join(lines)


def scoped(kind):
    if kind in IN_SUM:
        return "yes, of the whole fleet in sum"
    if kind in (verbs.ListDevices, verbs.ShowDevice, verbs.ShowDebug):
        return "its own devices"
    if kind in (
        verbs.EnrollDevice,
        verbs.CreateRollout,
        verbs.CreateExperiment,
        verbs.RehearsePlan,
    ):
        return "when it names its labels"
    if kind is verbs.ListApprovals:
        return "its own requests"
    return "no"


def test_the_tables_of_the_page_are_the_codes():
    text = PAGE.read_text()
    for name, table in (("who may", who_may()), ("verbs", what_it_takes())):
        assert table in text, f"the table of {name} is another by now; it should be\n\n{table}"
    tables = re.findall(r"^\|---", text, re.MULTILINE)
    assert len(tables) == 2, "a table that nobody compares"


def test_what_is_said_of_scopes_is_so():
    from gateway.core.access.tokens import Asker

    asker = Asker("eva", Role.ADMIN, (("region", "eu"),))
    own = {"region": "eu"}
    samples = [
        verbs.EnrollDevice(device="d", labels=own),
        verbs.CreateRollout(id="r", bundle="b@1", selector=own),
        verbs.Kill(feature="x"),
        verbs.SetFlag(segment="all", flag="x", definition={}),
        verbs.SteerRollout(rollout="r", how="pause"),
    ]
    for verb in samples:
        assert in_scope(asker, verb) == (scoped(type(verb)) != "no"), tag_of(verb)


if __name__ == "__main__":
    print(who_may(), what_it_takes(), sep="\n\n")
