"""The sample clip and the tiny clip agree with their truth."""

import importlib.util
import sys

import av
import numpy as np
import pytest

from vid3d.data.pairs import read_pairs
from vid3d.skeleton import H36M17

CLIPS = {"samples/two_people": (4_000_000, (1280, 720)), "tests/data/tiny": (150_000, (480, 270))}


@pytest.fixture(params=CLIPS)
def clip(request, repo):
    return repo / f"{request.param}.mp4", repo / f"{request.param}.pairs.npz", *CLIPS[request.param]


@pytest.fixture(scope="module")
def truth(repo):
    return read_pairs(repo / "samples" / "two_people.pairs.npz")


@pytest.fixture(scope="module")
def motion(repo):
    path = repo / "samples" / "two_people_motion.py"
    spec = importlib.util.spec_from_file_location("two_people_motion", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def boxes(keypoints):
    return np.concatenate([keypoints.min(-2), keypoints.max(-2)], -1)


def overlap(a, b):
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    return np.maximum(sides, 0).prod(-1)


def test_clip_agrees_with_truth(clip):
    video, pairs, limit, size = clip
    assert video.stat().st_size < limit
    sequences = read_pairs(pairs)
    assert len(sequences) == 2
    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert (stream.width, stream.height) == size
        frames = sum(1 for _ in container.decode(stream))
        for sequence in sequences:
            assert sequence.camera.frame_size == size
            assert sequence.fps == pytest.approx(float(stream.average_rate))
            assert len(sequence) == frames


def test_truth_lies_in_the_image_and_under_its_keypoints(clip):
    _, pairs, _, (width, height) = clip
    for sequence in read_pairs(pairs):
        assert sequence.joint_set == "coco17"
        assert set(np.unique(sequence.confidence)) <= {0.0, 0.5, 1.0}
        joints = sequence.camera.project(sequence.joints3d)
        for points in (joints, sequence.keypoints2d):
            assert (points > -0.5).all()
            assert (points < np.array([width, height]) - 0.5).all()
        # limbs: the same joint centres in both sets (coco's shoulders and ankles are shifted)
        ours = H36M17.indices(["left_elbow", "right_elbow", "left_wrist", "right_wrist"])
        difference = joints[:, ours] - sequence.keypoints2d[:, [7, 8, 9, 10]]
        assert np.abs(difference).max() < 0.02


def test_people_are_whole_upright_and_large(truth):
    for sequence in truth:
        joints = sequence.joints3d
        assert joints[..., 2].min() > 2
        assert (joints[:, H36M17.index("head"), 1] < joints[:, 0, 1]).all()
        size = np.ptp(joints[..., 1], axis=1)
        assert np.median(size) > 1.3
        box = boxes(sequence.keypoints2d)
        assert np.median(box[:, 3] - box[:, 1]) > 0.4 * sequence.camera.frame_size[1]
        bones = np.array(H36M17.bones)
        legs = bones[[1, 2, 4, 5]]
        lengths = np.linalg.norm(joints[:, legs[:, 0]] - joints[:, legs[:, 1]], axis=-1)
        assert np.ptp(lengths, axis=0).max() < 2e-3


def test_one_crosses_before_the_other(truth):
    man, woman = truth
    crossed = overlap(boxes(man.keypoints2d), boxes(woman.keypoints2d)) > 0
    assert 10 <= crossed.sum() <= 40
    frames = np.flatnonzero(crossed)
    assert (np.diff(frames) == 1).all()
    assert (woman.joints3d[frames, 0, 2] < man.joints3d[frames, 0, 2] - 0.5).all()
    side = man.joints3d[:, 0, 0] - woman.joints3d[:, 0, 0]
    assert side[0] < 0 < side[-1]
    assert (man.confidence[frames] == 1).mean(1).min() < 0.5
    assert np.linalg.norm(man.joints3d[:, 0] - woman.joints3d[:, 0], axis=-1).min() > 0.8


def test_motion_has_no_jerks(truth):
    for sequence in truth:
        acceleration = np.diff(sequence.joints3d, 2, axis=0) * sequence.fps**2
        assert np.linalg.norm(acceleration, axis=-1).max() < 150


def test_trajectories(repo, motion, truth, tmp_path):
    path = repo / "samples" / "two_people_trajectories.npz"
    assert path.stat().st_size < 300_000
    people = motion.load_trajectories(path)
    assert [one.body for one in people] == [part.body for part in motion.PARTS]
    assert all(len(one.roots) == len(truth[0]) for one in people)
    identity = people[0].rotations @ people[0].rotations.swapaxes(-1, -2)
    np.testing.assert_allclose(identity, np.broadcast_to(np.eye(3), identity.shape), atol=1e-9)
    copy = tmp_path / "copy.npz"
    motion.save_trajectories(copy, people)
    again = motion.load_trajectories(copy)
    np.testing.assert_allclose(again[1].rotations, people[1].rotations, atol=1e-3)
    np.testing.assert_allclose(again[1].roots, people[1].roots, atol=1e-3)


def test_join_blends_without_a_jump(motion):
    def walk(start, frames):
        line = np.zeros((frames, 17, 3))
        line[..., 1] = (start + np.arange(frames))[:, None] * 0.03
        line[:, motion.LEFT_HIP, 0], line[:, motion.RIGHT_HIP, 0] = -0.1, 0.1
        return line

    first, second = walk(0, 40), motion.turned(walk(500, 40), 1.0, np.zeros(2), np.ones(2))
    joined = motion.join(first, second)
    assert len(joined) == 71
    np.testing.assert_allclose(joined, walk(0, 71), atol=1e-9)


@pytest.mark.slow
def test_trajectories_come_from_the_takes(repo, shared, motion):
    bodies, mocap = shared / "data" / "bodies", shared / "data" / "mocap"
    from vid3d.data.bodies import load_library

    composed = motion.compose_all(load_library(bodies), mocap)
    stored = motion.load_trajectories(repo / "samples" / "two_people_trajectories.npz")
    for one, other in zip(composed, stored, strict=True):
        np.testing.assert_allclose(one.roots, other.roots, atol=1e-3)
        np.testing.assert_allclose(one.rotations, other.rotations, atol=1e-3)
