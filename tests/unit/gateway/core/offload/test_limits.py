from devicesdk.wire import limits as wire
from gateway.core.offload.limits import OffloadLimits


def test_a_full_ask_fits_the_budget_and_an_answer_its_message():
    limits = OffloadLimits()
    assert limits.device_frames_max >= wire.ASK_FRAMES_MAX
    assert wire.ASK_BYTES_MAX + 1024 <= wire.MESSAGE_BYTES_MAX
    assert limits.answer_expiry_ns <= limits.run_timeout_ns
