"""Commands of the gateway: `gateway serve`, and what operators say to one that runs.

Decides which groups there are and where they hang. Leaves out the commands themselves (gateway/commands): those that ask a
gateway do so over HTTP or by the door of its state folder, whichever is said (gateway/client/reach.py).
"""

from __future__ import annotations

import typer

from gateway.commands.asking import EXIT_AWAY, EXIT_BROKEN, EXIT_DONE, EXIT_INVALID, EXIT_REFUSED

__all__ = ["EXIT_AWAY", "EXIT_BROKEN", "EXIT_DONE", "EXIT_INVALID", "EXIT_REFUSED", "register"]


def register(app: typer.Typer) -> None:
    """Add the gateway's commands."""
    from gateway.commands import (
        access,
        alarms,
        audit,
        backup,
        bundles,
        debug,
        experiments,
        flags,
        fleet,
        pruning,
        rehearsals,
        rollouts,
        serving,
    )

    gateway = typer.Typer(no_args_is_help=True, help="Run the gateway.")
    gateway.command("serve")(serving.serve_command)
    backup.register(gateway)
    pruning.register(gateway)
    app.add_typer(gateway, name="gateway")
    _join(app, bundles.bundle_app, "bundle")
    app.add_typer(rollouts.rollout_app, name="rollout")
    rehearsals.register(rollouts.rollout_app)
    app.add_typer(flags.flag_app, name="flag")
    app.add_typer(fleet.fleet_app, name="fleet")
    app.command()(flags.kill)
    app.add_typer(experiments.experiment_app, name="experiment")
    app.add_typer(debug.debug_app, name="debug")
    # As they were called first.
    gateway.add_typer(experiments.experiment_app, name="experiment", hidden=True)
    gateway.add_typer(debug.debug_app, name="debug", hidden=True)
    access.register(app)
    app.add_typer(alarms.alarm_app, name="alarm")
    app.add_typer(audit.audit_app, name="audit")


def _join(app: typer.Typer, group: typer.Typer, name: str) -> None:
    """Add a group, or its commands to the group of that name which another part has made."""
    for there in app.registered_groups:
        made = there.typer_instance
        if made is not None and name in (there.name, made.info.name):
            made.registered_commands += group.registered_commands
            return
    app.add_typer(group, name=name)
