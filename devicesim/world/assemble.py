"""A scenario becomes a world.

Decides how the scenario's words turn into collaborators: keys, links, bodies, gauges, agents, broker,
gateway, timeline, checks. Leaves out reading files: profiles, links and bundle sources are handed in
(`Stock`). Everything random is drawn from streams named by purpose and device.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import blake2b

import msgspec

from devicesdk.agent.agent import Identity
from devicesdk.agent.config import AgentConfig
from devicesdk.bundle.trust import (
    ROLE_DIRECTOR,
    ROLE_FLAGS,
    ROLE_TARGETS,
    Ed25519Signer,
    Ed25519Verifier,
    RememberingVerifier,
    Signer,
    Verifier,
)
from devicesdk.bundle.trusted_set import Anchor
from devicesdk.wire.hardship import CALM, Hardship
from devicesdk.wire.timebase import DAY, HOUR, MS
from devicesdk.wire.topics import Topics
from devicesim.entropy import Entropy
from devicesim.models import crossing
from devicesim.models.availability import Availability
from devicesim.models.body import Body
from devicesim.models.clock import DeviceClock
from devicesim.models.datastream import Condition, Site, Sun
from devicesim.models.flash_wear import FlashWear
from devicesim.models.link import EpochLink, Link
from devicesim.models.link_class import LinkBook, QualityTables
from devicesim.models.link_trace import Trace as LinkTrace
from devicesim.models.link_trace import TraceLink
from devicesim.models.profile import Profile
from devicesim.models.thermal import Ambient
from devicesim.recordings.intervals import Recording, RecordingError
from devicesim.scenario.fleet import Group, Region
from devicesim.scenario.population import DeviceSpec, expand
from devicesim.scenario.recorded import TRACE
from devicesim.scenario.schema import Scenario
from devicesim.scenario.zones import WorldZones
from devicesim.world import crashes, deltas, paces, replay, spoiled, wakelock
from devicesim.world.buggify import Buggify, buggify_of
from devicesim.world.bundles import GatewayModels, InstalledBundle, install
from devicesim.world.device_host import DeviceHost
from devicesim.world.device_parts import ModelShelf, Parts, Workshop
from devicesim.world.flash import Flash
from devicesim.world.gateway_host import GatewayHost
from devicesim.world.hard_device import HardDevice
from devicesim.world.inference import InferencePool
from devicesim.world.kernel import Kernel
from devicesim.world.ledger import Ledger
from devicesim.world.places import BlobPlace, Stage
from devicesim.world.roles import WorldRoles
from devicesim.world.senses import SENSES, AnySource, DataStream, kind_of
from devicesim.world.trace import Trace
from devicesim.world.virtual_stage import VirtualStage
from devicesim.world.watch import Watch
from devicesim.world.world import World
from gateway.core import stimuli as hear
from gateway.core.collect.limits import CollectLimits
from gateway.core.control.trust import RoleSigners
from gateway.core.experiments.limits import ExperimentLimits
from gateway.core.gateway import Gateway, GatewayConfig

BACKLOG_UNLIMITED = 10_000_000
METERED_RADIOS = ("lte", "3g")
"""Paid by the byte, as a rule."""
INFLIGHT_MAX = 100
"""``max_inflight_messages`` of a broker that serves a gateway: mosquitto's 20 starve its requests."""
MakeGateway = Callable[[Signer, Signer, RoleSigners | None], Gateway]
"""Builds a core from the director's, the flags' and the roles' signers."""


class Stock(msgspec.Struct, frozen=True):
    """What was read from files for a scenario."""

    profiles: dict[str, Profile]
    links: LinkBook
    sources: dict[str, AnySource]
    """Bundle sources by ``id@version``."""
    policies: dict[str, str] = {}
    """Run-time policies by path."""
    recordings: dict[str, Recording] = {}
    """Recordings of presence by path."""
    traces: dict[str, LinkTrace] = {}
    """Recorded links by path."""
    plans: dict[str, hear.RolloutPlan] = {}
    """Plans that the gateway is given in place of what the scenario spells, by the rollout's id."""


class Keys(msgspec.Struct, frozen=True):
    """The signing keys of one world, derived from its seed."""

    targets: Ed25519Signer
    director: Ed25519Signer
    flags: Ed25519Signer

    def verifier(self) -> Verifier:
        """What devices are born with."""
        return RememberingVerifier(
            Ed25519Verifier(
                {
                    ROLE_TARGETS: (self.targets.public,),
                    ROLE_DIRECTOR: (self.director.public,),
                    ROLE_FLAGS: (self.flags.public,),
                }
            )
        )


def make_keys(seed: int) -> Keys:
    """Derive a world's keys: the same seed, the same signatures."""

    def signer(role: str) -> Ed25519Signer:
        return Ed25519Signer(
            role, blake2b(f"{seed}\0key\0{role}".encode(), digest_size=32).digest()
        )

    return Keys(signer(ROLE_TARGETS), signer(ROLE_DIRECTOR), signer(ROLE_FLAGS))


def assemble(
    scenario: Scenario,
    stock: Stock,
    *,
    seed: int | None = None,
    sink: Callable[[bytes], None] | None = None,
    make_gateway: MakeGateway | None = None,
    stage: Stage | None = None,
    kernel: Kernel | None = None,
    keys: Keys | None = None,
) -> World:
    """Build the world of a scenario, ready to run; devices boot within its first telemetry window.

    Args:
        scenario: what to rehearse.
        stock: profiles, links and bundles that it names.
        seed: overrides the scenario's.
        sink: takes the blocks of the trace.
        make_gateway: builds the core from the director's, the flags' and the roles' signers.
        stage: makes broker, gateway and paths; virtual ones by default.
        kernel: another one that has not begun, such as one that remembers causes.
        keys: who signs; derived from the seed by default.
    """
    entropy = Entropy(scenario.seed if seed is None else seed)
    keys = keys or make_keys(entropy.seed)
    kernel, trace, ledger, watch = kernel or Kernel(), Trace(sink), Ledger(), Watch()
    topics = Topics()
    buggify = buggify_of(scenario, entropy)
    place: Stage = VirtualStage(buggify) if stage is None else stage
    broker = place.broker(kernel, ledger, scenario)
    build = make_gateway or _gateway_maker(scenario, entropy, buggify)
    start_ms = scenario.clock.start_unix_ns // MS
    roles = WorldRoles(entropy.seed, start_ms) if scenario.trust == "roles" else None
    director: Signer = keys.director if roles is None else roles.hand(ROLE_DIRECTOR)
    flags: Signer = keys.flags if roles is None else roles.hand(ROLE_FLAGS)
    gateway = place.gateway(
        kernel, trace, ledger, watch, topics,
        lambda: build(director, flags, roles), start_ms,
    )  # fmt: skip
    pool, shelf = InferencePool(), ModelShelf()
    bundles = _install_all(scenario, stock, keys.targets, gateway.blobs, pool, shelf, entropy.seed)
    if isinstance(gateway, GatewayHost):
        gateway.models = GatewayModels(pool, bundles.values())
    shop = Workshop(kernel, trace, ledger, watch, shelf, topics, place.path)
    for bundle in bundles.values():
        shop.deltas.shipped(bundle)
    anchor = None if roles is None else Anchor(roles.roots[0])
    factory = _Factory(scenario, stock, entropy, shop, bundles, keys.verifier(), anchor)
    hosts = _hosts(shop, factory.all_parts(), buggify)
    world = World(
        scenario=scenario, entropy=entropy, kernel=kernel, trace=trace, ledger=ledger, watch=watch,
        broker=broker, gateway=gateway, pool=pool, profiles=stock.profiles,
        bundles={bundle.digest: bundle for bundle in bundles.values()}, hosts=hosts, stage=place,
        roles=roles, policies=stock.policies, buggify=buggify, followed=factory.followed,
        plans=stock.plans,
    )  # fmt: skip
    _register(world, bundles)
    if wakelock.wanted(world):
        world.watch.add(wakelock.WakeLocks(world))
    crashes.attach(world)
    for host in hosts:
        spread_ns = factory.boot_spread_ns(host.index)
        at = int(entropy.stream("boot", host.device).uniform() * spread_ns)
        kernel.at(at, host.power_on)
    return world


def _install_all(
    scenario: Scenario,
    stock: Stock,
    targets: Signer,
    blobs: BlobPlace,
    pool: InferencePool,
    shelf: ModelShelf,
    seed: int,
) -> dict[str, InstalledBundle]:
    """Sign, index and install every bundle of the scenario, by ``id@version``."""
    bundles = {}
    for name, source in stock.sources.items():
        said = scenario.bundle(name)
        bundles[name] = install(
            source,
            spoiled.signer_of(said, targets, seed),
            blobs,
            pool,
            shelf,
            said.chunk_bytes,
            deltas=said.delta == "auto",
            memory=said.costs.memory,
        )
    return bundles


def _hosts(shop: Workshop, everybody: list[Parts], buggify: Buggify | None) -> list[DeviceHost]:
    """The devices; under `buggify` they are awkward ones."""
    if buggify is None:
        return [DeviceHost(shop, parts) for parts in everybody]
    for parts in everybody:
        parts.hardship = buggify.hand(parts.identity.device)
    return [HardDevice(shop, parts) for parts in everybody]


def _gateway_maker(scenario: Scenario, entropy: Entropy, buggify: Buggify | None) -> MakeGateway:
    hardship: Hardship = CALM if buggify is None else buggify.hand("core")
    watch = scenario.drift
    config = GatewayConfig(
        collect=CollectLimits(
            window_ns=watch.window_ns,
            psi_raise_min=watch.effect_min,
            psi_clear_max=watch.effect_min / 2,
        ),
        experiments=ExperimentLimits(seed=entropy.stream("gateway", "experiments").integer(2**53)),
    )
    zones = WorldZones()
    return lambda director, flags, roles: Gateway(config, director, flags, roles, hardship, zones)


def _register(world: World, bundles: Mapping[str, InstalledBundle]) -> None:
    """The operator's part before anything happens: bundles, the registry, what the factory shipped."""
    gateway = world.gateway
    gateway.start(0)
    if world.roles is not None:
        listing = [bundle.listed for bundle in spoiled.sound(world, bundles)]
        for metadata in (world.roles.roots[0], world.roles.targets(listing, 0)):
            gateway.stimulate(hear.RegisterRole(metadata), 0)
    for bundle in bundles.values():
        gateway.stimulate(
            hear.RegisterBundle(bundle.manifest, bundle.digest, bundle.envelope_bytes), 0
        )
    spoiled.arm(world, bundles)
    for delta in deltas.publish(bundles, gateway.blobs):
        gateway.stimulate(delta, 0)
    for host in world.hosts:
        gateway.stimulate(hear.Enroll(host.device, host.parts.registered), 0)
    shipped = dict.fromkeys(host.parts.labels["factory"] for host in world.hosts)
    for name in shipped:
        if name:
            plan = hear.RolloutPlan(
                id=f"factory-{name}", bundle=name, selector=(("factory", name),), initial=True
            )
            gateway.stimulate(hear.CreateRollout(plan), 0)


class _Factory:
    """Makes the parts of each device."""

    def __init__(
        self,
        scenario: Scenario,
        stock: Stock,
        entropy: Entropy,
        shop: Workshop,
        bundles: Mapping[str, InstalledBundle],
        verifier: Verifier,
        anchor: Anchor | None,
    ) -> None:
        self._anchor = anchor
        self._scenario, self._stock, self._entropy = scenario, stock, entropy
        self._shop, self._bundles, self._verifier = shop, bundles, verifier
        self._configs = {group.group: _agent_config(scenario, group) for group in scenario.fleet}
        self._tables: dict[str, QualityTables] = {}
        self._suns = {
            name: Sun(_site(scenario, region)) for name, region in scenario.regions.items()
        }
        self._indoors = Sun(_site(scenario, None))
        self.followed: replay.Followed | None = None
        """The recording that devices follow, once their parts are made; None of nothing."""
        windows = [config.window_ns for config in self._configs.values()]
        self._spread_ns = min(HOUR, max(windows))

    def boot_spread_ns(self, index: int) -> int:
        """Within how long a device boots: who follows a recording was there when it began."""
        if self.followed is not None and index in self.followed.edges:
            return replay.BOOT_SPREAD_NS
        return self._spread_ns

    def all_parts(self) -> list[Parts]:
        """The parts of every device, in the population's order."""
        specs = expand(self._scenario, self._stock.profiles, self._entropy)
        if any(group.presence for group in self._scenario.fleet):
            self.followed = replay.follow(self._scenario, self._stock.recordings, specs)
        labels = [self._labels(spec) for spec in specs]
        for rollout in self._scenario.rollouts:
            for index in rollout.target.select(labels, self._entropy, f"rollout.{rollout.id}"):
                labels[index][f"rollout-{rollout.id}"] = "yes"
        return [self._parts(spec, mine) for spec, mine in zip(specs, labels, strict=True)]

    def _labels(self, spec: DeviceSpec) -> dict[str, str]:
        profile = self._stock.profiles[spec.profile]
        factory = self._scenario.factory_bundle(self._scenario.group(spec.group))
        return {
            **spec.labels,
            **paces.labelled(self._scenario, spec.labels),
            "hardware": profile.hardware.hardware_class,
            "power": profile.power.supply,
            "factory": factory.reference if factory is not None else "",
        }

    def _parts(self, spec: DeviceSpec, labels: dict[str, str]) -> Parts:
        entropy, profile = self._entropy, self._stock.profiles[spec.profile]
        config = self._configs[spec.group]
        parts = Parts(
            index=spec.index,
            identity=self._identity(spec, profile, labels["factory"]),
            group=spec.group,
            labels=labels,
            profile=profile,
            config=config,
            verifier=self._verifier,
            seed=entropy.stream("agent", spec.id).integer(2**53),
            link=self._link(spec),
            luck=entropy.stream("path", spec.id),
            body=self._body(spec, profile),
            clock=self._clock(spec, profile),
            flash=Flash(
                self._shop.chunks, entropy.stream("flash", spec.id), profile.flash.size_bytes
            ),
            gauge=self._gauge(spec, labels["factory"]),
            topics=self._shop.topics,
            anchor=self._anchor,
        )
        group = self._scenario.group(spec.group)
        said = self._scenario.choosing_of(group).metered
        link = self._stock.links.links.get(spec.link)
        radio = link.radio if link is not None else ""
        parts.metered = radio in METERED_RADIOS if said is None else said
        parts.stands_for = self._scenario.telemetry_of(group).stands_for
        if group.registered_as is not None:
            parts.registered = {**labels, "hardware": group.registered_as}
        return parts

    def _identity(self, spec: DeviceSpec, profile: Profile, factory: str) -> Identity:
        bundle = self._bundles.get(factory)
        memory_mib = profile.processor.memory_bytes // 2**20
        hardware = profile.hardware.hardware_class
        if bundle is None:
            return Identity(spec.id, hardware, memory_mib)
        variant = bundle.manifest.variant_for(hardware, memory_mib)
        if variant is None:
            raise ValueError(
                f"expected bundle {factory} to fit {spec.id} ({hardware}, {memory_mib} MiB) since it "
                "is what the factory shipped, found no variant for it; give the group another bundle"
            )
        model = self._shop.models.get((bundle.digest, variant.name))
        return Identity(
            spec.id,
            hardware,
            memory_mib,
            bundle.digest,
            variant.name,
            variant.also,
            model.confidence,
        )

    def _link(self, spec: DeviceSpec) -> Link:
        book, entropy = self._stock.links, self._entropy
        there = None
        if self.followed is not None:
            there = self.followed.availability(spec.index)
        if spec.link.startswith(TRACE):
            return self._traced(spec, there)
        kind = book.links[spec.link]
        if spec.link not in self._tables:
            self._tables[spec.link] = QualityTables(kind, book.classes)
        streams = (
            entropy.stream("link.availability", spec.id),
            entropy.stream("link.epochs", spec.id),
            entropy.stream("link.loss", spec.id),
        )
        return EpochLink(kind, self._tables[spec.link], streams, availability=there)

    def _traced(self, spec: DeviceSpec, there: Availability | None) -> Link:
        path = spec.link.removeprefix(TRACE)
        trace = self._stock.traces.get(path)
        if trace is None:
            raise RecordingError(
                f"expected the link trace {path} of group {spec.group}, found no such one in the stock"
            )
        offset_ns = self._entropy.stream("link.offset", spec.id).integer(trace.length_ns)
        return TraceLink(trace, self._entropy.stream("link.loss", spec.id), offset_ns, there)

    def _body(self, spec: DeviceSpec, profile: Profile) -> Body:
        region = self._scenario.regions.get(spec.region)
        usual = profile.surroundings
        mean = spec.vary.get("ambient_c", region.weather.mean_c if region else usual.mean_c)
        ambient = Ambient(
            mean,
            region.weather.swing_c if region else usual.amplitude_c,
            usual.enclosure_c,
            usual.sun_w,
            -_local_ns(self._scenario, region),
        )
        body = Body(
            profile,
            self._entropy.stream("body", spec.id),
            ambient=ambient,
            soc=spec.vary.get("soc0", 1.0),
        )
        health = spec.vary.get("battery_health")
        if health is not None:
            body.apply(0, crossing.battery_age(health, 1.0))
        if "flash_wear" in spec.vary:
            body.flash = FlashWear(profile.flash, spec.vary["flash_wear"])
        return body

    def _clock(self, spec: DeviceSpec, profile: Profile) -> DeviceClock:
        usual = self._entropy.stream("clock", spec.id).normal(0.0, profile.clock.skew_ppm_sigma)
        skew = spec.vary.get("clock_skew_ppm", usual)
        start_ms = self._scenario.clock.start_unix_ns // MS
        return DeviceClock(skew, start_ms, 0, rtc=profile.clock.rtc)

    def _gauge(self, spec: DeviceSpec, factory: str) -> DataStream:
        sun = self._suns.get(spec.region, self._indoors)
        sense = SENSES[kind_of(factory.partition("@")[0])]
        gauge = sense.stream(self._entropy, spec.id, sun)
        if spec.vary.get("light", 1.0) < 1.0:
            gauge.apply(Condition.DIM, 1.0 - spec.vary["light"], 0)
        if spec.vary.get("haze", 0.0) > 0.0:
            gauge.apply(Condition.HAZE, spec.vary["haze"], 0)
        if spec.vary.get("blur", 0.0) > 0.0:
            gauge.apply(Condition.BLUR, min(1.0, spec.vary["blur"] / 16.0), 0)
        return gauge


def _agent_config(scenario: Scenario, group: Group) -> AgentConfig:
    said, cadence = scenario.agent, scenario.telemetry_of(group)
    choosing = scenario.choosing_of(group)
    return AgentConfig(
        segment=group.group,
        keepalive_ns=said.keepalive_ns,
        session_expiry_ns=said.session_expiry_ns,
        subscribe_once=said.resubscribe == "never",
        answer_after_ns=said.answer_after_ns,
        answer_spread_ns=said.answer_spread_ns,
        backoff=replay.EAGER
        if group.presence is not None and group.presence.reconnect == "recorded"
        else scenario.backoff_of(group),
        window_ns=cadence.window_ns,
        window_frames=cadence.frames,
        probe_period_ns=cadence.probes_ns,
        offload_consent=choosing.offload,
        regulatory_mode=choosing.mode or "",
        urgency=choosing.urgency,
        latency_budget_ms=(choosing.budget_ns or 0) // MS,
    )


def _local_ns(scenario: Scenario, region: Region | None) -> int:
    """Local time of day at instant 0, ns."""
    offset = region.utc_offset_h if region is not None else 0.0
    return (scenario.clock.start_unix_ns + round(offset * HOUR)) % DAY


def _site(scenario: Scenario, region: Region | None) -> Site:
    day_of_year = scenario.clock.start_unix_ns // DAY % 365 + 1
    return Site(day_of_year=day_of_year, clock_ns=_local_ns(scenario, region))
