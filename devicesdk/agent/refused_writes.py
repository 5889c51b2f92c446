"""What a refused write means for the files: which of them are not what the agent takes them for.

Decides what is forgotten of a file whose last write never happened, refused itself or lost behind the
refused one, and which file is written again at once. Leaves out what a refused write means for updates
and bursts (update.py, install.py, work.py), and answers that will never come (agent.py).

Rules: a file that was refused waits for its next save, or one that is full would be written for ever;
one that was lost behind another file is written again at once, roles before the state that builds on
them. A map of chunks that may not be there is not believed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from devicesdk.agent.download import MAP_FILE
from devicesdk.agent.effects import Save, Write
from devicesdk.agent.shared import STATE_FILE
from devicesdk.agent.trust import TRUST_FILE

if TYPE_CHECKING:
    from devicesdk.agent.download import Download
    from devicesdk.agent.shared import Shared
    from devicesdk.agent.stimuli import StorageFailed
    from devicesdk.agent.trust import Trust


def forget(failed: StorageFailed, shared: Shared, trust: Trust, download: Download) -> bool:
    """Forget what was taken for saved; True when the state is to be saved again at once, as soon as
    everybody has heard of the refused write."""
    lost = {effect.file for effect in failed.lost if isinstance(effect, Save)}
    unsaved = lost | {failed.file}
    if TRUST_FILE in unsaved:
        trust.forget_saved()
        if failed.file != TRUST_FILE:
            trust.keep()
    if MAP_FILE in unsaved or any(isinstance(effect, Write) for effect in failed.lost):
        download.forget_map()
    if STATE_FILE in unsaved:
        shared.forget_saved()
    return STATE_FILE in lost and failed.file != STATE_FILE
