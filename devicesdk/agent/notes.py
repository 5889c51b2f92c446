"""The vocabulary of an agent's notes: each kind with the sentence that a story prints for it.

Decides the words. Leaves out what is done about them: a note never decides anything. `a` and `b` of a
`Note` are small numbers whose meaning is said here.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Self


class NoteKind(StrEnum):
    """What a note says; each member carries its sentence."""

    sentence: str

    def __new__(cls, value: str, sentence: str) -> Self:
        """Make a member whose value is its short name and whose `sentence` explains it."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.sentence = sentence
        return member

    # -- life and session
    STATE_LOST = "state_lost", "The state file could not be read: nothing runs until a new update."
    MAP_LOST = "map_lost", "The chunk map could not be read: the transfer starts over."
    ONLINE = "online", "Connected and subscribed; a = session number."
    BACK_OFF = (
        "back_off",
        "No connection: trying again in a milliseconds; b = losses since a stable one.",
    )
    CONNECT_TIMEOUT = "connect_timeout", "No answer to a connect in time."
    SUBSCRIBE_REFUSED = (
        "subscribe_refused",
        "The broker refused a subscription; a = its reason code.",
    )
    UNSUBSCRIBED = (
        "unsubscribed",
        "The broker holds no session, and nothing was subscribed again; a = session number.",
    )
    SUBSCRIBE_TIMEOUT = "subscribe_timeout", "No answer to a subscribe in time."
    PUBLISH_RESENT = (
        "publish_resent",
        "a publishes had no acknowledgement in time and were sent again.",
    )
    PUBLISH_DEAD = "publish_dead", "Publishes stay unacknowledged: the connection is given up."
    PUBLISH_UNHEARD = (
        "publish_unheard",
        "The broker says that nobody has subscribed: messages wait, and are said again; a = how many wait.",
    )
    # -- what came from outside
    GARBAGE = "garbage", "A payload was not understood or not signed rightly; a = garbage so far."
    IGNORED = "ignored", "Something came that fits nothing under way; a = such so far."
    RETAINED_VERB = "retained_verb", "A retained ctl message was ignored: retained means state."
    WANT_ACCEPTED = "want_accepted", "A new desired state; a = generation, b = 1 when it says hold."
    WANT_OLD = "want_old", "A want that is older was ignored; a = its generation, b = ours."
    WANT_NOT_MINE = "want_not_mine", "A want for another device was ignored."
    KILL_OLD = "kill_old", "A kill list that is older was ignored; a = its version, b = ours."
    KILL_OBEYED = "kill_obeyed", "A kill list is in force; a = version, b = features killed."
    FLAGS_OLD = "flags_old", "A flag snapshot that is older was ignored; a = its rev, b = ours."
    FLAGS_NOT_OURS = (
        "flags_not_ours",
        "A flag snapshot of another segment or bucketing was ignored.",
    )
    FLAGS_TAKEN = "flags_taken", "A flag snapshot is in force; a = rev."
    FEATURE_ON = "feature_on", "A feature went on; a = its place in the configured list."
    FEATURE_OFF = "feature_off", "A feature went off; a = its place in the configured list."
    FLAGS_EXPIRED = "flags_expired", "A flag snapshot that has expired was ignored; a = its rev."
    # -- trust
    ROOT_TAKEN = "root_taken", "A newer root is trusted; a = version."
    ROOT_MISSING = (
        "root_missing",
        "A newer root is there, but not the one after ours; a = ours, b = the newest.",
    )
    ROLE_REFUSED = (
        "role_refused",
        "Role metadata was refused; a = 0 root, 1 timestamp, 2 snapshot, 3 targets, b = our root.",
    )
    ROLE_LATE = "role_late", "Role metadata could not be had; a = how often, b = pause in ms."
    TIME_ASKED = (
        "time_asked",
        "Roles have expired by the clock alone: the gateway is asked the time.",
    )
    TIME_TOLD = "time_told", "The director said what time it is; a = UTC in ms."
    DIRECTOR_REVOKED = (
        "director_revoked",
        "The key of the newest want was revoked: it is forgotten.",
    )
    FLAGS_REVOKED = "flags_revoked", "A key of flags was revoked: their versions begin anew."
    # -- the life of an update
    UPDATE_STATE = "update_state", "The update is in state a (`UpdateState`); b = generation."
    SLOT_INVALID = "slot_invalid", "The inactive slot will be overwritten; a = 0 for a, 1 for b."
    TRIAL_REBOOTED = "trial_rebooted", "The device booted during a trial; a = how often so far."
    QUARANTINED = (
        "quarantined",
        "The digest will never be flashed again; a = digests in quarantine.",
    )
    STORAGE_FAILED = "storage_failed", "A write was refused; a = refusals so far."
    # -- chunks
    FETCH_BEGUN = "fetch_begun", "A blob is being fetched; a = chunks, b = chunks here already."
    FETCH_DONE = "fetch_done", "All chunks of a blob are here; a = chunks, b = duplicates dropped."
    ROUND_LOST = (
        "round_lost",
        "Chunk requests were not answered in time; a = rounds empty in a row.",
    )
    LINK_LOOK = (
        "link_look",
        "Many rounds stayed empty: pausing for a milliseconds; b = empty so far.",
    )
    CHUNK_BAD = "chunk_bad", "A chunk had the wrong hash; a = its number, b = failures of it."
    IMAGE_BAD = "image_bad", "The whole image had the wrong hash as read back; a = how often."
    TOLD_TO_WAIT = "told_to_wait", "The gateway said WAIT; a = milliseconds."
    REFUSED = "refused", "The gateway said NACK; a = refusals with this code, b = 1 when terminal."
    DELTA_CHOSEN = (
        "delta_chosen",
        "A delta is fetched instead of the image; a = its bytes, b = the image's.",
    )
    DELTA_APPLIED = "delta_applied", "The delta was applied; a = its bytes, b = the image's."
    DELTA_FAILED = (
        "delta_failed",
        "A delta was of no use: the image is fetched instead; a = the delta's bytes.",
    )
    # -- outbox and work
    WINDOW_DROPPED = (
        "window_dropped",
        "The outbox was full: the oldest window went; a = dropped so far.",
    )
    EVENT_DROPPED = (
        "event_dropped",
        "The outbox was full: the oldest event went; a = dropped so far.",
    )
    # -- choosing at run time
    POLICY_TAKEN = "policy_taken", "A run-time policy is in force; a = its rules, b = flags rev."
    POLICY_OFF = "policy_off", "No run-time policy is in force any more."
    POLICY_BAD = "policy_bad", "The run-time policy was not understood, so there is none; b = rev."
    RULE_CHOSEN = (
        "rule_chosen",
        "Another rule of the policy decides; a = its place, b = the place of the one before.",
    )
    FELL_BACK = (
        "fell_back",
        "Answers were poor: one variant down; a = steps down now, b = those that there are.",
    )
    STEPPED_UP = "stepped_up", "Answers are good again: one variant up; a = steps down now."
    LAST_KNOWN = (
        "last_known",
        "No reading is to be trusted; a = the last good one in permille, b = its age in ms.",
    )
    DEFERRED = "deferred", "Frames were kept for later; a = bursts that wait."
    DEFERRED_DROPPED = "deferred_dropped", "Kept frames were dropped; a = bursts dropped so far."
    ASKED = "asked", "Frames went to the gateway; a = how many, b = bytes."
    ANSWERED = "answered", "The gateway's answer is here; a = milliseconds that it took."
    ASK_FAILED = (
        "ask_failed",
        "The gateway did not answer, the device reads: a = 1 late, 2 no link, 3 wait, 4 refused.",
    )
    RECALIBRATED = "recalibrated", "The confidence bound moved; a = bins up (or down), b = before."
    # -- experiments
    EXPERIMENT_JOINED = "experiment_joined", "A candidate takes turns here; a = rev of the flags."
    EXPERIMENT_LEFT = "experiment_left", "No candidate takes turns here now; a = rev of the flags."
    EXPERIMENT_FELL_BACK = (
        "experiment_fell_back",
        "The candidate broke its guardrails: production runs again; a = burst.",
    )
    EXPERIMENT_UNREADABLE = (
        "experiment_unreadable",
        "An experiment's flag was not understood; a = rev of the flags.",
    )
    # -- debug mode
    DEBUG_BEGAN = "debug_began", "Debug mode began; a = number of the grant, b = seconds it lasts."
    DEBUG_ENDED = "debug_ended", "Debug mode ended; a = number of the grant, b = rows not told."
    DEBUG_REFUSED = "debug_refused", "A grant of debug mode was refused; a = its number."
    DEBUG_OLD = "debug_old", "A grant of debug mode that is older was ignored; a = its number."
    # -- alarm
    ALARM_ON = "alarm_on", "The reading crossed the alarm threshold; a = reading in permille."
    ALARM_OFF = "alarm_off", "The reading fell below the hysteresis; a = reading in permille."
