"""Comparisons of the bench: arithmetic by hand, and files that rtmlib reads."""

import math
import os
import time
from importlib import import_module

import numpy as np
import pytest

from vid3d.bench.timing import compare, take_turns
from vid3d.camera import Camera
from vid3d.data.pairs import PairSequence
from vid3d.lifter import Lifter
from vid3d.lifter.checkpoint import LifterConfig, build_networks
from vid3d.lifter.diffusion import DiffusionConfig
from vid3d.lifter.encoder import EncoderConfig
from vid3d.machine import usable_cores


def test_calls_take_turns_and_the_first_round_is_not_counted():
    order = []
    calls = {name: lambda name=name: order.append(name) for name in "ab"}
    times = take_turns(calls, 2)
    assert "".join(order) == "ab" + "ba" + "ab"
    assert [len(values) for values in times.values()] == [2, 2]


def test_milliseconds():
    times = take_turns({"sleep": lambda: time.sleep(0.01)}, 1)
    assert 9 < times["sleep"][0] < 1000


def test_ratios_by_hand():
    times = {"session": np.array([2.0, 4.0]), "ours": np.array([9.0, 3.0, 6.0])}
    session, ours = compare(times, {"ours": {"session": 1.15, "absent": 0.9}})
    assert (session.median, session.fastest, session.ratios) == (3, 2, {})
    assert (ours.median, ours.fastest, ours.ratios) == (6, 3, {"session": 1.5})


def test_endings_for_rtmlib_say_what_our_decoders_say(tmp_path):
    pytest.importorskip("onnx")
    import onnxruntime

    from vid3d.bench.pose2d import one_person
    from vid3d.bench.rtmlib_files import detector_file, pose_file
    from vid3d.pose2d.models import find_model
    from vid3d.pose2d.onnx import OnnxDetector, OnnxPose
    from vid3d.pose2d.preprocess import crop_maps, crops, to_image, whole_images

    picture, box = one_person()
    person, pose = (
        find_model(name, task, ("onnx",))
        for name, task in (("vid3d-person", "detection"), ("vid3d-pose", "pose"))
    )

    def outputs(file, pixels):
        session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
        return session.run(None, {session.get_inputs()[0].name: pixels})

    pixels, scale = whole_images([picture], person.input)
    (dets,) = outputs(detector_file(person, tmp_path), pixels)
    boxes, scores = OnnxDetector(person, padded=True)([picture])[0]
    np.testing.assert_allclose(dets[0, :, 4], scores, atol=1e-5)
    inside = (dets[0, :, :4] / np.tile(scale[0], 2)).clip(0, [1920, 1080, 1920, 1080])
    np.testing.assert_allclose(inside, boxes, atol=0.1)

    pixels, _ = crops([picture], [box], pose.input)
    x, y = outputs(pose_file(pose, tmp_path), pixels)
    assert x.shape == (1, 17, 2 * pose.input.size[0])
    assert y.shape == (1, 17, 2 * pose.input.size[1])
    bins = np.stack([x.argmax(-1), y.argmax(-1)], -1) / 2
    ours, confidence = OnnxPose(pose)([picture], [box])[0]
    sure = confidence > 0.3
    apart = np.abs(to_image(bins, crop_maps(box, pose.input.size)) - ours)[sure] * 128 / 981
    assert np.median(apart) < 8  # a cell of the map is 8 pixels; rtmlib refines nothing


@pytest.fixture
def published(repo, monkeypatch):
    """Modules of benchmarks/published on a machine with two cores."""
    monkeypatch.syspath_prepend(repo / "benchmarks" / "published")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1}, raising=False)
    assert usable_cores() == 2
    return import_module("measure"), import_module("cost")


def test_flops_of_the_head_are_counted_on_two_cores(published, monkeypatch):
    measure, _ = published
    encoder = EncoderConfig(joint_width=8, spatial_blocks=1, width=16, blocks=1, heads=2)
    lifter = Lifter(build_networks(LifterConfig("toy", encoder, DiffusionConfig(16, 1, 2))))
    draw = np.random.default_rng(0)
    seen = draw.uniform(200, 500, (20, 17, 2))
    sequence = PairSequence(
        "a", seen, np.ones((20, 17)), "h36m17", None, Camera.from_fov(55, (1280, 720)), 25.0
    )
    on_two = measure.cost(lifter, sequence, hypotheses=2, steps=2)["gflops"]
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert on_two == measure.cost(lifter, sequence, hypotheses=2, steps=2)["gflops"] > 0


def test_times_of_the_published_are_those_of_one_thread(published):
    cores = []
    published[1].milliseconds(lambda: cores.append(usable_cores()), 2)
    assert cores == [1, 1]


def test_rates_are_tried_until_the_best_lies_between_two_worse(published):
    tries = import_module("systems").tries
    asked = []

    def error(rate):  # best at 0.04; training at 0.16 and above fails
        asked.append(rate)
        return abs(math.log2(rate / 0.04)) if rate < 0.1 else math.inf

    assert tries(error, 0.01) == pytest.approx({0.005: 3, 0.01: 2, 0.02: 1, 0.04: 0, 0.08: 1})
    assert sorted(asked) == [0.005, 0.01, 0.02, 0.04, 0.08]  # each once
    assert tries(lambda rate: math.inf, 1.0) == dict.fromkeys([0.5, 1.0, 2.0], math.inf)
