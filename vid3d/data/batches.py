"""Training batches from motion alone: bodies, cameras, looks and noise are drawn on the fly."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from vid3d.data import augment, cameras, coco
from vid3d.data.augment import BodyRanges
from vid3d.data.cameras import CameraRanges
from vid3d.data.mocap import MOCAP_FPS, MotionClip
from vid3d.data.noise import NoiseLevels, detect
from vid3d.lifter.canonical import JOINT_SETS, Looks
from vid3d.skeleton import COCO17, H36M17


@dataclass(frozen=True)
class BatchOptions:
    """How windows are cut and seen.

    Attributes:
        seconds: length of a window.
        grid: seconds between output moments.
        strides: frames at 50 Hz between looks, drawn once a batch.
        speed: factors of playing speed.
        short: share of windows cut to a random shorter length, down to one moment.
        irregular: share of windows whose looks are thinned at random.
        focal: deviation of the logarithm of a wrongly assumed focal length, in a third of windows.
    """

    seconds: float = 2.56
    grid: float = 0.08
    strides: tuple[int, ...] = (2, 3, 5, 5, 8, 10, 10, 12, 15, 20, 20, 25)
    speed: tuple[float, float] = (0.75, 1.3)
    short: float = 0.12
    irregular: float = 0.2
    focal: float = 0.15
    body: BodyRanges = field(default_factory=BodyRanges)
    camera: CameraRanges = field(default_factory=CameraRanges)
    noise: NoiseLevels = field(default_factory=NoiseLevels)


@dataclass(frozen=True)
class Batch:
    """Windows to learn from: B windows, K looks, G output moments.

    Attributes:
        looks: what is seen.
        times: (B, G) seconds of the output moments.
        valid: (B, G) bool, within the window's motion.
        joints: (B, G, 17, 3) h36m17 in the camera frame, metres, absolute. A wrongly assumed focal
            length moves the person in depth, as it moves the rays.
        coco: (B, G, 17, 3) the coco17 keypoints behind the looks.
        contacts: (B, G, 2) 1 where the left or right foot rests.
    """

    looks: Looks
    times: Tensor
    valid: Tensor
    joints: Tensor
    coco: Tensor
    contacts: Tensor


class Motions:
    """All clips end to end, for random windows.

    Clips shorter than a window stay usable: what lies beyond them is marked invalid.
    """

    def __init__(self, clips: Sequence[MotionClip]) -> None:
        frames = torch.cat([torch.from_numpy(clip.joints) for clip in clips])
        self.frames = frames.to(torch.get_default_device())
        lengths = torch.tensor([len(clip.joints) for clip in clips])
        self.starts = lengths.cumsum(0) - lengths
        self.lengths = lengths
        # Long clips repeat themselves: weight grows with the length to the power of 0.8.
        self.weights = lengths.double() ** 0.8

    def windows(
        self, count: int, frames: int, speed: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Random windows (count, frames, 17, 3), z up, at 50 Hz, and valid (count, frames)."""
        clip = torch.multinomial(self.weights, count, replacement=True, generator=generator)
        length = self.lengths[clip].float()
        span = (frames - 1) * speed
        room = (length - 1 - span).clamp_min(0)
        begin = torch.rand(count, generator=generator) * room
        at = begin[:, None] + torch.arange(frames) * speed[:, None]
        valid = at <= length[:, None] - 1
        at = torch.minimum(at, length[:, None] - 1)
        low = at.floor().long().clamp_min(0)
        high = torch.minimum(low + 1, self.lengths[clip][:, None] - 1)
        share = (at - low)[..., None, None]
        base = self.starts[clip][:, None]
        return torch.lerp(self.frames[base + low], self.frames[base + high], share), valid


def make_batch(
    motions: Motions, count: int, options: BatchOptions, generator: torch.Generator
) -> Batch:
    """Draw `count` windows; half of them are seen as coco17, half as h36m17."""
    frames = round(options.seconds * MOCAP_FPS) + 1
    speed = cameras.uniform(*options.speed, (count,), generator)
    joints, valid = motions.windows(count, frames, speed, generator)
    valid = _shorten(valid, options.short, generator)
    joints = augment.mirror(joints, torch.rand(count, generator=generator) < 0.5)
    joints = augment.resize_bones(joints, augment.bone_factors(count, options.body, generator))
    contacts = foot_contacts(joints)
    both = torch.cat([joints, random_coco(joints, generator)], 2)
    views = cameras.view(both, options.camera, generator)
    looks = _look(views, valid, options, generator)
    focal = torch.exp(options.focal * torch.randn(count, generator=generator))
    focal = torch.where(torch.rand(count, generator=generator) < 1 / 3, focal, 1.0)
    seen, depth_factor = _refocus(looks, focal)
    step = round(options.grid * MOCAP_FPS)
    at = torch.arange(0, frames, step)
    targets = _apparent(views.joints[:, at], depth_factor)
    return Batch(
        looks=seen,
        times=(at / MOCAP_FPS).expand(count, -1),
        valid=valid[:, at],
        joints=targets[:, :, :17],
        coco=targets[:, :, 17:],
        contacts=contacts[:, at],
    )


def _apparent(joints: Tensor, depth: Tensor) -> Tensor:
    """Windows (B, G, J, 3) moved so that the root's depth is multiplied by depth (B,)."""
    root = joints[:, :, :1]
    moved = root * torch.stack([torch.ones_like(depth), torch.ones_like(depth), depth], -1).view(
        -1, 1, 1, 3
    )
    return joints - root + moved


def _refocus(looks: Looks, factor: Tensor) -> tuple[Looks, Tensor]:
    """Looks through a focal length assumed too short by `factor` (B,), and the depth's factor."""
    rays = looks.rays * factor.view(-1, 1, 1, 1)
    return Looks(rays, looks.confidence, looks.times, looks.valid, looks.joint_set), 1 / factor


def _shorten(valid: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Cut some windows to a random shorter length, sometimes to a single frame."""
    count, frames = valid.shape
    length = (torch.rand(count, 1, generator=generator) ** 2 * frames).ceil().clamp_min(1)
    length = torch.where(torch.rand(count, 1, generator=generator) < 0.2, 1.0, length)
    cut = torch.rand(count, 1, generator=generator) < share
    return valid & (~cut | (torch.arange(frames) < length))


def foot_contacts(joints: Tensor) -> Tensor:
    """(B, F, 2) 1 where the left or right ankle (B, F, 17, 3) moves at less than 0.25 m/s."""
    ankles = joints[:, :, H36M17.indices(["left_ankle", "right_ankle"])]
    speed = torch.zeros(ankles.shape[:3])
    if ankles.shape[1] > 2:
        speed[:, 1:-1] = (ankles[:, 2:] - ankles[:, :-2]).norm(dim=-1) * MOCAP_FPS / 2
        speed[:, 0], speed[:, -1] = speed[:, 1], speed[:, -2]
    return (speed < 0.25).float()


def random_coco(joints: Tensor, generator: torch.Generator) -> Tensor:
    """COCO keypoints (B, F, 17, 3) of random bodies and head turns on h36m17 windows."""
    table, deviation = coco.load_offsets()
    batch, frames = joints.shape[:2]
    pair = torch.randint(len(table), (2, batch), generator=generator)
    mix = torch.rand(batch, 1, 1, generator=generator)
    offsets = torch.lerp(table[pair[0]], table[pair[1]], mix)
    # Annotators and detectors differ as well: every keypoint's definition is a little uncertain.
    loose = deviation + torch.tensor([0.015] * 5 + [0.025] * 2 + [0.012] * 4 + [0.035] * 2
                                     + [0.015] * 4)[:, None]  # fmt: skip
    offsets = offsets + loose * torch.randn(batch, 17, 3, generator=generator)
    time = torch.linspace(0, 1, frames)
    waves = [0.5 * torch.randn(batch, 2, 1, generator=generator)]
    for speed in (1.5, 4.0):
        phase = torch.rand(batch, 2, 1, generator=generator) * 2 * torch.pi
        waves.append(0.35 * torch.randn(batch, 2, 1, generator=generator)
                     * torch.sin(speed * torch.pi * time + phase))  # fmt: skip
    yaw, nod = (sum(waves) * torch.tensor([[0.6], [0.2]])).unbind(1)  # type: ignore[union-attr]
    return coco.coco_from_h36m(joints, offsets, _head_turn(yaw.clamp(-1.2, 1.2), nod))


def _head_turn(yaw: Tensor, nod: Tensor) -> Tensor:
    """Rotation (..., 3, 3) in the head's frame (left, up, forward): nod after yaw."""
    cy, sy, cn, sn = yaw.cos(), yaw.sin(), nod.cos(), nod.sin()
    zero = torch.zeros_like(cy)
    rows = [cy, zero, sy, sn * sy, cn, -sn * cy, -cn * sy, sn, cn * cy]
    return torch.stack(rows, -1).unflatten(-1, (3, 3))


def _look(
    views: cameras.Views, valid: Tensor, options: BatchOptions, generator: torch.Generator
) -> Looks:
    """Choose the looks of every window and see them with detector noise."""
    count = len(valid)
    index, chosen = _look_frames(valid, options, generator)
    rows = torch.arange(count)[:, None]
    seen = views.joints[rows, index]
    inside = views.inside()[rows, index]
    rays = seen[..., :2] / seen[..., 2:].clamp_min(0.05)
    joint_set = torch.arange(count) % 2
    made = [
        detect(rays[:, :, part], inside[:, :, part], joints, options.noise, generator)
        for part, joints in ((slice(0, 17), H36M17), (slice(17, 34), COCO17))
    ]
    is_coco = (joint_set == JOINT_SETS.index("coco17")).view(-1, 1, 1)
    confidence = torch.where(is_coco, made[1][1], made[0][1])
    noisy = torch.where(is_coco[..., None], made[1][0], made[0][0])
    chosen = chosen & (confidence > 0).any(-1)
    return Looks(noisy, confidence * chosen[..., None], index / MOCAP_FPS, chosen, joint_set)


def _look_frames(
    valid: Tensor, options: BatchOptions, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Frame numbers (B, K) of the looks, rising, and which of them count."""
    count, frames = valid.shape
    pick = torch.randint(len(options.strides), (1,), generator=generator)
    stride = options.strides[int(pick)]
    slots = -(-frames // stride) + 1
    offset = torch.randint(stride, (count, 1), generator=generator)
    index = offset + torch.arange(-1, slots - 1) * stride
    length = valid.sum(1, keepdim=True)
    ends = torch.rand(count, 1, generator=generator) < 0.4  # a clip's ends are always looked at
    index = torch.where(ends, index.clamp(min=0), index)
    index = torch.where(ends, torch.minimum(index, length - 1), index)
    chosen = (index >= 0) & (index < length)
    chosen[:, 1:] &= index[:, 1:] > index[:, :-1]
    thinned = torch.rand(count, 1, generator=generator) < options.irregular
    chosen &= ~(thinned & (torch.rand(count, slots, generator=generator) < 0.4))
    nothing = ~chosen.any(1)
    middle = length[:, 0] // 2
    index[nothing, 0], chosen[nothing, 0] = middle[nothing], True
    return index.clamp(0, frames - 1), chosen
