"""How an agent is set up: cadences, limits and identity, all with their unit in the name.

Decides names and defaults. Leaves out where the values come from (a file, a scenario). Shared by all
devices of one kind, so it is built once and passed around.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from devicesdk.wire import limits
from devicesdk.wire.messages import Capabilities
from devicesdk.wire.timebase import HOUR, MINUTE, MS, SECOND

TELEMETRY_OUTBOX_WINDOWS_MAX: Final = 192
ANSWER_NS_MAX: Final = HOUR
"""Of `AgentConfig.answer_after_ns` and of `answer_spread_ns`: who waits longer seems not to have heard."""


class BackoffConfig(msgspec.Struct, frozen=True, gc=False):
    """How long to wait before each next connect; the defaults are decorrelated jitter (Brooker 2015,
    "Exponential Backoff And Jitter"), forgotten only after `stable_ns` of stable session.

    The n-th wait (from 0) is jittered around a curve, see backoff.py for the formulas; what real
    client libraries do, by name, is in backoff_policies.py."""

    base_ns: int = SECOND
    cap_ns: int = 120 * SECOND
    stable_ns: int = 60 * SECOND
    """A session that lasted this long resets the growth; with `reset` of `stable`."""
    jitter: str = "decorrelated"
    """`decorrelated`, `full`, `equal`, `share` (see `below_permille`) or `none` (for rehearsing what
    happens without)."""
    growth: str = "doubling"
    """`doubling`: base x 2^n; `constant`: base; `linear`: base + n x step; `delta`: base + (2^(n+1) - 1)
    x step, of which only the second part is jittered. Decorrelated jitter grows by itself."""
    step_ns: int = 0
    below_permille: int = 0
    above_permille: int = 0
    """With `share`, a wait is drawn from so much below the curve to so much above it."""
    cap_after: bool = False
    """The cap cuts what was drawn, and not the curve before the draw: late waits gather on it."""
    first_ns: int = -1
    """The wait after the first loss, where it is not on the curve; below 0: it is."""
    reset: str = "stable"
    """When growth is forgotten: `stable`, or at once by `connack`."""
    attempts_max: int = 0
    """Retries in a row until the device stops trying; 0: it never does."""
    rest_ns: int = 0
    """How long it stops before it begins anew; 0: until its carrier comes again, or the next boot."""
    policy: str = ""
    """Name in backoff_policies.py. What has a name draws from luck of its own, one draw a wait, and
    connects at once at boot; what has none shares the agent's luck."""


class Identity(msgspec.Struct, frozen=True, gc=False):
    """Who one device is."""

    device: str
    hardware_class: str
    memory_mib: int
    factory_manifest: bytes = b""
    """Digest of the manifest whose image is in slot a from the factory; empty when there is none."""
    factory_variant: str = ""
    factory_also: tuple[str, ...] = ()
    """Lighter variants that the factory image carries (`devicesdk.bundle.manifest.Variant.also`)."""
    factory_confidence: bytes = b""
    """Its reference histogram, as `devicesdk.agent.snapshot.Slot.confidence`."""
    capabilities: Capabilities | None = None
    """What the runtime of this machine can do; None: nobody looked."""


class AgentConfig(msgspec.Struct, frozen=True, gc=False):
    """What is the same for all devices of a kind."""

    root: str = "fd/main"
    segment: str = "all"
    keepalive_ns: int = 60 * SECOND
    keepalive_grace_ns: int = 10 * SECOND
    session_expiry_ns: int = 24 * HOUR
    connect_timeout_ns: int = 20 * SECOND
    subscribe_timeout_ns: int = 20 * SECOND
    publish_timeout_ns: int = 60 * SECOND
    subscribe_once: bool = False
    """For rehearsing foreign clients that subscribe at their first connect and take "connected" for
    "subscribed" ever after, whatever the session-present bit says: once its broker has forgotten its
    session, such a device hears nothing until its next boot. Not for a device that somebody needs."""
    backoff: BackoffConfig = BackoffConfig()
    answer_after_ns: int = SECOND
    """What a whole segment hears at one instant, a kill list or flags, is obeyed at once and reported this
    much later at the earliest: not while it is still going out to the others."""
    answer_spread_ns: int = SECOND
    """And, drawn by each device, up to this much after that. 0: all in the same instant."""
    nobody_wait_ns: int = 30 * SECOND
    """Events and windows that the broker had nobody for, because the gateway has not subscribed (yet, or again),
    ask again after this and up to half of it more, then after twice as long each (outbox.py)."""
    publishes_in_flight_max: int = 16
    """Events and windows sent and not acknowledged. Full: the rest waits in the outbox."""
    window_ns: int = 15 * MINUTE
    window_frames: int = 4
    telemetry_outbox_windows_max: int = TELEMETRY_OUTBOX_WINDOWS_MAX
    """Full: the oldest window is dropped and counted."""
    event_outbox_max: int = 64
    """Full: the oldest event is dropped and counted."""
    sketches: bool = True
    """KLL of readings and HLL of feature rows go along with a window."""
    alarm_above_permille: int = 900
    alarm_below_permille: int = 850
    """Hysteresis of the local alarm on the reading."""
    alarm_frames_factor: int = 2
    """While the alarm sounds, a window has this many times the frames."""
    round_bytes_max: int = limits.ROUND_BYTES_MAX
    rounds_outstanding_max: int = 2
    checkpoint_bytes: int = limits.REFETCH_AFTER_POWER_CUT_BYTES_MAX
    slot_bytes_max: int = 2 * 1024**3
    delta_bytes_max: int = 256 * 1024**2
    """Room for a delta beside the two slots; a larger one is not fetched. 0: no deltas."""
    quarantine_failures_max: int = 3
    """Integrity failures of one digest until it is never fetched again; one failed kit or trial is
    enough."""
    quarantine_entries_max: int = 64
    """Full: the oldest entry is forgotten."""
    trial_deadline_ns: int = 15 * MINUTE
    """Bounds the trial that a want's policy asks for."""
    trial_grace_ns: int = MINUTE
    """A trial whose frames have not come this long after its end has failed."""
    trial_boots_max: int = 1
    """This many boots restart the clock of a trial, the next one ends it."""
    trial_errors_percent_max: int = 5
    """More frames in error than this and a trial has failed."""
    trial_frames_min: int = 8
    """A trial runs at least this many frames, however few a window has."""
    kill_grace_ns: int = 30 * SECOND
    """How long the first inference of a boot waits for the kill list when there is no connection."""
    kill_settle_ns: int = 2 * SECOND
    """How long it waits after the SUBACK: a kill list that was never published cannot come."""
    features: tuple[str, ...] = ("gauge",)
    """What a kill or a flag can name."""
    inference_feature: str = "gauge"
    """Killed or flagged off, all inference stops; on where no flag says anything. Any other feature
    is off until a flag turns it on."""
    probe_period_ns: int = 24 * HOUR
    """A golden probe of the active image runs this often at most, 0: never."""
    probe_chip_c_max: int = 60
    """Hotter than this, or on battery, a golden probe waits."""
    probe_feature: str = "golden-probe"
    """Killed or flagged off, no probe runs; on where no flag says anything."""
    count_min: bool = False
    """A count-min sketch of feature rows goes along, too."""
    bloom: bool = False
    """Whether a Bloom filter of feature rows goes along, where they are few enough for one."""
    privacy: bool = False
    """Noise is added to all that inputs can be told from; no frame leaves, and no shadow runs. See
    devicesdk/agent/privacy.py."""
    privacy_epsilon_permille: int = 1000
    """Privacy loss of one window, thousandths of epsilon."""
    privacy_frames_min: int = 20
    """A private window with fewer frames carries no histogram of inputs at all."""
    policy_flag: str = "policy"
    """The object flag that holds the run-time policy (policy.py)."""
    frame_period_ns_min: int = 10 * MS
    """Rate limit on inference: frames of a burst are never closer."""
    inference_timeout_ns: int = 15 * SECOND
    """Taking and running one frame longer than this is stopped, and is a frame in error."""
    offload_feature: str = "offload"
    """The flag that must be on, and `offload_consent` given, before a frame leaves the device."""
    offload_consent: bool = False
    """Whoever owns the device agrees that frames are sent to the gateway and answered there."""
    regulatory_mode: str = ""
    """Such as ``privacy``: a policy may ask for it, and nothing is ever sent out in one."""
    debug_consent: bool = False
    """Whoever owns the device agrees that a gateway may grant debug mode for a while (debug.py)."""
    debug_ns_max: int = HOUR
    """No grant lasts longer."""
    debug_frames_max: int = 32
    """Rows of one window in debug mode, evenly picked."""
    debug_rows_max: int = 1024
    """Rows of one grant; debug mode ends when they are told."""
    metered: bool = False
    """Whether the link is paid by the byte."""
    urgency: Literal["foreground", "batch"] = "foreground"
    """Whether somebody waits for the readings; always so while the alarm sounds."""
    latency_budget_ms: int = 0
    """What one inference may take; 0: no bound. For the policy to look at."""
