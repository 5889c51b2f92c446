"""The reader without a model: near the truth on what it can see, silent on what it cannot."""

import numpy as np

from devicesdk.inference import preprocess
from devicesdk.inference.engine import LABELS
from devicesdk.inference.rule import RULE_MACS, DialRule, _rays
from devicesim.entropy import Entropy
from devicesim.models import datastream
from devicesim.models.datastream import GaugeStream, Site, Sun


def pictures(devices=40, frames=4):
    entropy, specs = Entropy(3), []
    for number in range(devices):
        gauge = GaugeStream(entropy, f"d{number}", Sun(Site()))
        specs.append(gauge.burst(4 * 3600 * 10**9, frames, 10**11))
    drawn = datastream.expand(specs, [frames] * devices)
    images = np.empty((frames * devices, 1024), dtype=np.float32)
    return datastream.render(drawn, images, np.empty_like(images)), drawn.values


def test_it_reads_dials_of_many_tilts_within_a_bin():
    images, truth = pictures()
    reading, _, _, _, finite = preprocess.interpret(DialRule().run(images))
    assert finite.all()
    away = np.abs(reading / 1000 - truth)
    assert away.mean() < 0.02, f"mean error {away.mean():.3f} of full scale"
    assert away.max() < 0.1


def test_a_picture_without_a_needle_gives_no_number():
    flat = np.zeros((2, 1024), dtype=np.float32)
    assert np.isnan(DialRule().run(flat)).all()


def test_a_row_alone_is_the_row_among_others():
    images, _ = pictures(5)
    together = DialRule().run(images)
    alone = np.concatenate([DialRule().run(row[None]) for row in images])
    assert together.tobytes() == alone.tobytes()
    assert np.allclose(together.sum(axis=1), 1.0, atol=1e-5)


def test_it_costs_what_it_says():
    assert _rays().shape == (1024, LABELS)
    assert abs(_rays().sum() - RULE_MACS) <= 10
