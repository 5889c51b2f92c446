"""Roles: who may do what, and who may hand it out."""

import pytest

from gateway.core.access.roles import GRANTS, Permission, Role, allowed, covers


def test_every_role_has_its_row_and_every_permission_somebody():
    assert set(GRANTS) == set(Role)
    assert set().union(*GRANTS.values()) == set(Permission)


@pytest.mark.parametrize("role", Role)
def test_whoever_may_change_something_may_look_at_it(role):
    assert allowed(role, Permission.READ)


def test_only_security_and_admin_hand_out_tokens():
    assert {role for role in Role if allowed(role, Permission.TOKENS)} == {
        Role.SECURITY,
        Role.ADMIN,
    }


def test_whoever_releases_does_not_judge_and_whoever_judges_does_not_release():
    assert not allowed(Role.RELEASER, Permission.AUDIT)
    assert not allowed(Role.SECURITY, Permission.ROLL_OUT)
    assert not allowed(Role.SECURITY, Permission.PUBLISH)


@pytest.mark.parametrize("giver", Role)
def test_nobody_hands_out_more_than_they_have(giver):
    for given in Role:
        more = GRANTS[given] - GRANTS[giver]
        assert covers(giver, given) == (not more), f"{giver} would hand out {more} with {given}"


def test_security_makes_no_admin():
    assert not covers(Role.SECURITY, Role.ADMIN)
    assert covers(Role.ADMIN, Role.ADMIN)
