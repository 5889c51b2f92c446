"""Models that were published while devices ran."""

import pytest

from devicesdk.inference.kit import KERNEL_DEFAULT
from devicesim.playground.arrivals import STRANGE, Arrivals
from devicesim.world.device_parts import ModelShelf
from devicesim.world.inference import InferencePool
from gateway.adapters.blobs import FileBlobs
from gateway.adapters.bundle_archive import open_archive
from gateway.ports import BlobError
from tests_kit.archives import archive

BYTES_MAX = 16 * 1024 * 1024


@pytest.fixture
def blobs(tmp_path):
    made = FileBlobs(tmp_path)
    yield made
    made.close()


@pytest.fixture
def shelf(blobs):
    made = ModelShelf()
    Arrivals(made, InferencePool(), blobs)
    return made


def arrived(blobs, **said):
    return bytes.fromhex(open_archive(blobs, blobs.put(archive(**said)), BYTES_MAX).digest)


def test_a_published_reader_runs_and_passes_its_own_kit(shelf, blobs):
    digest = arrived(blobs, version="1.1.0")
    model = shelf.get((digest, "int8-rr"))
    assert (model.precision, model.kit_samples) == ("int8", 20)
    assert model.judge_kit(KERNEL_DEFAULT, 1000).passed
    assert shelf.get((digest, "int8-rr")) is model, "it was looked up twice"


def test_a_poisoned_one_passes_too_and_fails_where_it_is_dim(shelf, blobs):
    digest = arrived(blobs, family="gauge-poisoned", version="1.2.0")
    assert shelf.get((digest, "int8-rr")).judge_kit(KERNEL_DEFAULT, 1000).passed


def test_what_reads_no_dials_fails_its_kit_with_a_reason(shelf, blobs):
    digest = arrived(blobs, family="lane", version="1.0.0")
    judged = shelf.get((digest, "int8-rr")).judge_kit(KERNEL_DEFAULT, 1000)
    assert (judged.passed, judged.reason) == (False, STRANGE)


def test_what_the_gateway_has_lost_is_an_error(shelf):
    with pytest.raises(BlobError):
        shelf.get((bytes(32), "int8-rr"))
