"""Bundles whose blobs are here: register, look; and role metadata that was signed offline."""

from __future__ import annotations

from typing import Annotated

import msgspec
from fastapi import Path, Response
from pydantic import Field

from devicesdk.wire import limits
from gateway.api.answers import Said, mutated, shape
from gateway.api.desk import Asked, Looked
from gateway.api.models import Request
from gateway.api.paging import LIMIT, Cursor, Limit, after_of, cursor_of, number_after
from gateway.api.router import versioned
from gateway.runtime import verbs
from gateway.runtime.lookups import BundlesPage, BundleView

router = versioned(tag="bundles")
BUNDLES, RELEASES = "bundles", "releases"
DELTAS_MAX = 256
Hex = Annotated[
    str, Field(pattern="^[0-9a-f]{64}$", description="SHA-256, hex.", examples=["ab" * 32])
]
BundleName = Annotated[
    str,
    Path(
        min_length=1, max_length=200, description="`id@semver` or digest.", examples=["gauge@1.1.0"]
    ),
]
BundleId = Annotated[str, Path(min_length=1, max_length=limits.TEXT_CHARS_MAX, examples=["gauge"])]


class Delta(Request):
    """A way from an older image to a new one; its blobs are in the store."""

    encoder: int = Field(ge=1, le=255)
    base: Hex | None = None
    target: Hex
    blob: Hex
    size_bytes: int = Field(ge=1, le=limits.BLOB_BYTES_MAX)
    chunk_bytes: int = Field(ge=limits.CHUNK_BYTES_MIN, le=limits.CHUNK_BYTES_MAX)
    hashes: Hex | None = None


class NewBundle(Request):
    """A bundle whose envelope and blobs were uploaded."""

    digest: Hex
    deltas: list[Delta] = Field(default=[], max_length=DELTAS_MAX)


class RoleMetadata(Request):
    """Signed metadata of a role that was uploaded as a blob."""

    digest: Hex


class Image(msgspec.Struct, frozen=True):
    """The image of a variant."""

    digest: str
    bytes: int


class Release(msgspec.Struct, frozen=True):
    """One release of a bundle, with its image of each variant."""

    version: str
    release: int
    images: dict[str, Image]


class Releases(msgspec.Struct, frozen=True):
    """Releases, the oldest first."""

    releases: list[Release]
    next: str | None


@router.get("/bundles", **shape(BundlesPage))
async def list_bundles(desk: Looked, cursor: Cursor = "", limit: Limit = LIMIT) -> Response:
    """A page of registered bundles in the order of their names."""
    found: BundlesPage = await desk.see(
        verbs.ListBundles(after=after_of(BUNDLES, cursor), limit=limit)
    )
    return desk.answer(msgspec.structs.replace(found, next=cursor_of(BUNDLES, found.next)))


@router.post("/bundles", **shape(Said, 201, "It is registered."))
async def publish_bundle(desk: Asked, asked: NewBundle) -> Response:
    """Register a bundle; every blob that it names must be here and whole, and its manifest signed."""
    verb = msgspec.convert({"verb": "bundle.publish", **asked.model_dump()}, verbs.PublishBundle)
    return mutated(await desk.do(verb), 201)


@router.get("/bundles/{name}", **shape(BundleView))
async def show_bundle(desk: Looked, name: BundleName) -> Response:
    """One bundle by name or digest."""
    return desk.answer(await desk.see(verbs.ShowBundle(bundle=name)))


@router.get("/releases/{bundle}", **shape(Releases))
async def list_releases(
    desk: Looked, bundle: BundleId, cursor: Cursor = "", limit: Limit = LIMIT
) -> Response:
    """Registered releases of a bundle, the oldest first, with their images: what deltas can start from."""
    after = number_after(RELEASES, cursor)
    found = [
        one for one in await desk.see(verbs.ListReleases(bundle=bundle)) if one["release"] > after
    ]
    then = str(found[limit - 1]["release"]) if len(found) > limit else None
    return desk.answer({"releases": found[:limit], "next": cursor_of(RELEASES, then)})


@router.post("/trust", **shape(Said, 201, "It is in force."))
async def register_role(desk: Asked, asked: RoleMetadata) -> Response:
    """Take role metadata into force that was signed offline."""
    return mutated(await desk.do(verbs.RegisterRole(digest=asked.digest)), 201)
