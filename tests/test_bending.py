import math

import torch
from lifter_toys import motion

from vid3d.data.bending import BendRanges, bend, rotation_matrices
from vid3d.skeleton import H36M17

RANGES = BendRanges(share=1.0, joint=1.0)


def windows(count=8):
    clips = [torch.from_numpy(motion(30, seed=seed).joints) for seed in range(count)]
    return torch.stack(clips), torch.arange(30).expand(count, -1) / 50


def lengths(joints):
    return torch.stack([(joints[..., c, :] - joints[..., p, :]).norm(dim=-1)
                        for p, c in H36M17.bones], -1)  # fmt: skip


def flexions(joints):
    limbs = [H36M17.indices([f"{side}_{joint}" for joint in names])
             for side in ("left", "right")
             for names in (("shoulder", "elbow", "wrist"), ("hip", "knee", "ankle"))]  # fmt: skip
    angles = []
    for ball, hinge, end in limbs:
        upper = joints[..., hinge, :] - joints[..., ball, :]
        lower = joints[..., end, :] - joints[..., hinge, :]
        cosine = torch.cosine_similarity(upper.double(), lower.double(), dim=-1)
        angles.append(torch.acos(cosine.clamp(-1, 1)))
    return torch.stack(angles, -1)


def test_rotation_by_hand():
    quarter = rotation_matrices(torch.tensor([0.0, 0.0, math.pi / 2])) @ torch.tensor(
        [1.0, 0.0, 0.0]
    )
    torch.testing.assert_close(quarter, torch.tensor([0.0, 1.0, 0.0]), atol=1e-6, rtol=0)
    torch.testing.assert_close(rotation_matrices(torch.zeros(2, 3)), torch.eye(3).expand(2, 3, 3))


def test_bones_keep_their_lengths_and_hinges_their_limits():
    joints, seconds = windows()
    bent, which = bend(joints, seconds, RANGES, torch.Generator().manual_seed(0))
    assert which.all()
    torch.testing.assert_close(lengths(bent), lengths(joints), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(bent[:, :, 0], joints[:, :, 0])
    high = flexions(joints).clamp_min(RANGES.flexion[1])
    assert (flexions(bent) <= high + 0.06).all()
    moved = (bent - joints).norm(dim=-1)[..., H36M17.indices(["left_wrist", "right_ankle"])]
    assert (moved.mean((0, 1)) > 0.05).all()


def test_what_is_added_moves_smoothly():
    joints = windows(1)[0][:, :1].expand(6, 100, -1, -1)
    seconds = torch.arange(100).expand(6, -1) / 50
    bent, _ = bend(joints, seconds, RANGES, torch.Generator().manual_seed(1))
    steps = (bent[:, 1:] - bent[:, :-1]).norm(dim=-1)
    assert steps.max() * 50 < 8  # metres a second of a limb that is waved once a second


def test_windows_that_are_not_chosen_stay():
    joints, seconds = windows(20)
    bent, which = bend(joints, seconds, BendRanges(share=0.5), torch.Generator().manual_seed(2))
    assert 0 < which.sum() < 20
    torch.testing.assert_close(bent[~which], joints[~which], rtol=0, atol=0)
    still, none = bend(joints, seconds, BendRanges(), torch.Generator())
    assert still is joints
    assert not none.any()


def test_straight_knee_folds_backwards_and_elbow_forwards():
    straight = torch.zeros(1, 1, 17, 3)  # upright, facing +y, left is -x
    heights = {"pelvis": 1.0, "hip": 1.0, "knee": 0.5, "ankle": 0.0, "spine": 1.2, "thorax": 1.5,
               "nose": 1.6, "head": 1.8, "shoulder": 1.5, "elbow": 1.2, "wrist": 0.9}  # fmt: skip
    for index, joint in enumerate(H36M17.joints):
        side, _, name = joint.rpartition("_")
        straight[0, 0, index, 2] = heights[name]
        straight[0, 0, index, 0] = {"left": -0.2, "right": 0.2}.get(side, 0.0)
    ranges = BendRanges(share=1.0, joint=1.0, trunk=0, shoulder=0, hip=0, hinge=0.5)
    ends = H36M17.indices(["left_wrist", "right_wrist", "left_ankle", "right_ankle"])
    for seed in range(5):
        bent, _ = bend(straight, torch.zeros(1, 1), ranges, torch.Generator().manual_seed(seed))
        forward = bent[0, 0, ends, 1]
        assert (forward[:2] >= -1e-6).all()
        assert (forward[2:] <= 1e-6).all()
