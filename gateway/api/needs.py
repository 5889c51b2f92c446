"""What each operation of the API needs: one table, for the document, the console and the test of every role.

Decides nothing: the office does (gateway/runtime/office.py). An operation that is missing here is a fault that a test
finds.
"""

from __future__ import annotations

from typing import Final

from gateway.core.access.roles import Permission

OPEN: Final = frozenset({"livez", "readyz"})
"""Operations without a token."""
ANYBODY: Final = frozenset({"whoami"})
"""Operations for every good token."""
_P = Permission
OPERATIONS: Final[dict[str, Permission]] = {
    "metrics": _P.READ,
    "show_fleet": _P.READ,
    "events": _P.READ,
    "show_transfers": _P.READ,
    "show_drift": _P.READ,
    "list_drift_scores": _P.READ,
    "show_histogram": _P.READ,
    "list_devices": _P.READ,
    "show_device": _P.READ,
    "show_labels": _P.READ,
    "show_device_history": _P.READ,
    "enroll_device": _P.ENROLL,
    "probe_blob": _P.PUBLISH,
    "upload_blob": _P.PUBLISH,
    "download_blob": _P.PUBLISH,
    "forget_upload": _P.PUBLISH,
    "open_archive": _P.PUBLISH,
    "list_bundles": _P.READ,
    "show_bundle": _P.READ,
    "publish_bundle": _P.PUBLISH,
    "list_releases": _P.READ,
    "register_role": _P.TRUST,
    "list_rollouts": _P.READ,
    "show_rollout": _P.READ,
    "show_rollout_history": _P.READ,
    "create_rollout": _P.ROLL_OUT,
    "preview_rollout": _P.READ,
    "list_rehearsals": _P.READ,
    "rehearse_plan": _P.ROLL_OUT,
    "rehearse_rollout": _P.ROLL_OUT,
    "cancel_rehearsal": _P.ROLL_OUT,
    "show_rehearsal": _P.READ,
    "show_shape": _P.READ,
    "download_report": _P.READ,
    "approve_rollout": _P.APPROVE,
    "deny_rollout": _P.APPROVE,
    "steer_rollout": _P.STEER,
    "list_experiments": _P.READ,
    "show_experiment": _P.READ,
    "create_experiment": _P.ROLL_OUT,
    "steer_experiment": _P.STEER,
    "list_segments": _P.READ,
    "show_segment": _P.READ,
    "show_flag": _P.READ,
    "set_flag": _P.FLAG,
    "list_kills": _P.READ,
    "kill": _P.KILL,
    "revive": _P.KILL,
    "revive_named": _P.KILL,
    "list_debug_grants": _P.READ,
    "grant_debug": _P.DEBUG,
    "revoke_debug": _P.DEBUG,
    "show_debug_told": _P.DEBUG,
    "list_alarms": _P.READ,
    "show_alarm": _P.READ,
    "acknowledge_alarm": _P.ALARM,
    "silence_alarm": _P.ALARM,
    "list_audit": _P.AUDIT,
    "show_audit_head": _P.AUDIT,
    "list_tokens": _P.TOKENS,
    "make_token": _P.TOKENS,
    "revoke_token": _P.TOKENS,
    "list_approvals": _P.READ,
    "decide_approval": _P.APPROVE,
}
