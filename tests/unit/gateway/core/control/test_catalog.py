"""A name stands for one digest for ever."""

from __future__ import annotations

from msgspec.structs import replace

from devicesdk.bundle.manifest import BlobRef
from gateway.core import notes
from gateway.core.control.catalog import Catalog
from gateway.core.effects import Note, Persist
from gateway.core.internal import BlobKnown, BundleKnown, ModelKnown
from gateway.core.limits import ControlLimits
from tests_kit.gateway_charts import bundle, digest_of


def refusals(out):
    return [
        effect.subject for effect in out if isinstance(effect, Note) if "refused" in effect.kind
    ]


def test_a_bundle_is_announced_with_all_its_blobs():
    catalog, out = Catalog(ControlLimits()), []
    registered = bundle(baseline={"confidence": [1.0]})
    taken = catalog.register(registered, out)
    assert taken.blobs == (
        registered.digest, digest_of("gauge@1.1.0 hashes"), digest_of("gauge@1.1.0 image"),
    )  # fmt: skip
    assert [(e.size_bytes, e.chunk_bytes) for e in out if isinstance(e, BlobKnown)] == [
        (900, 16_384), (224, 16_384), (100_000, 16_384),
    ]  # fmt: skip
    assert [e.bundle for e in out if isinstance(e, BundleKnown)] == [registered.digest[:8]]
    assert out[-1] == Note(notes.BUNDLE_REGISTERED, "gauge@1.1.0", 1)


def test_registering_again_does_nothing():
    catalog, out = Catalog(ControlLimits()), []
    catalog.register(bundle(), out)
    out.clear()
    assert catalog.register(bundle(), out) is None
    assert out == []


def test_what_was_never_published_is_said_with_what_is_nearest():
    catalog = Catalog(ControlLimits())
    assert catalog.unpublished("gauge@9.9.9") == "nothing named gauge@9.9.9 was published yet"
    for name in ("gauge@1.1.0", "gauge@2.0.0", "camera@2.1.0"):
        catalog.register(bundle(name), [])
    assert catalog.unpublished("guage@2.0.0").endswith("yet; the nearest is gauge@2.0.0")
    assert catalog.unpublished("xyz").endswith("published yet")


def test_a_name_is_held_against_few_others(monkeypatch):
    """It is done in the core's turn: whatever somebody asks for must not hold up the fleet."""
    compared = []
    monkeypatch.setattr(
        "gateway.core.control.catalog.get_close_matches",
        lambda name, names, n: compared.append((name, names)) or [],
    )
    catalog = Catalog(ControlLimits())
    for number in range(300):
        catalog.register(bundle(f"gauge@1.0.{number}"), [])
    catalog.unpublished("g" * 10_000)
    ((name, names),) = compared
    assert (len(name), len(names), names[-1]) == (64, 100, "gauge@1.0.299")


def test_what_is_refused_and_why():
    catalog, out = Catalog(ControlLimits(bundles_max=2)), []
    good = bundle()
    catalog.register(good, out)
    variant = good.manifest.variants[0]
    torn = replace(variant, hashes=BlobRef("0" * 64, 5))
    tries = [
        replace(good, digest=b"short"),
        replace(good, digest=b"d" * 32),
        replace(bundle("gauge@2.0.0"), envelope_bytes=0),
        replace(bundle("x@1.0.0"), manifest=replace(bundle("x@1.0.0").manifest, variants=())),
        replace(bundle("y@1.0.0"), manifest=replace(bundle("y@1.0.0").manifest, variants=(torn,))),
        replace(bundle("y@1.0.0"), manifest=replace(bundle("y@1.0.0").manifest, id="..")),
    ]
    out.clear()
    assert [catalog.register(one, out) for one in tries] == [None] * 6
    words = (
        "32 bytes",
        "stands for",
        "not empty",
        "at least one variant",
        "hash list",
        "part of an address",
    )
    for word, said in zip(words, refusals(out), strict=True):
        assert word in said
    assert not any(isinstance(effect, Persist) for effect in out)
    catalog.register(bundle("z@1.0.0"), out)
    catalog.register(bundle("full@1.0.0"), out)
    assert "bundles_max" in refusals(out)[-1]


def test_rows_are_taken_back():
    catalog, out = Catalog(ControlLimits()), []
    catalog.register(bundle(), out)
    row = next(effect for effect in out if isinstance(effect, Persist))
    restored = Catalog(ControlLimits())
    restored.restore(row.key, row.row)
    assert restored.by_name["gauge@1.1.0"].digest == digest_of("gauge@1.1.0")
    again = []
    restored.announce(restored.by_digest[digest_of("gauge@1.1.0")], again)
    assert [
        effect for effect in out if isinstance(effect, BlobKnown | BundleKnown | ModelKnown)
    ] == again


def test_one_image_is_cut_in_one_way():
    catalog, out = Catalog(ControlLimits()), []
    good = bundle()
    catalog.register(good, out)
    variant = good.manifest.variants[0]
    chunks = -(-variant.image.size_bytes // 4096)
    other = replace(variant, chunk_bytes=4096, hashes=BlobRef("1" * 64, 32 * chunks))
    twin = bundle("gauge@3.0.0")
    twin = replace(twin, manifest=replace(twin.manifest, variants=(other,)))
    out.clear()
    assert catalog.register(twin, out) is None
    assert "already served in chunks of 16384 bytes" in refusals(out)[0]
