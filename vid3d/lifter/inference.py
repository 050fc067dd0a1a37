"""The networks over a whole track: windows encoded once, hypotheses denoised, all blended."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import repeat
from threading import Lock

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from torch import Tensor

from vid3d.errors import Vid3dError
from vid3d.lifter.canonical import Looks, canonicalise, interpolation, rotations
from vid3d.lifter.checkpoint import Networks
from vid3d.lifter.observation import Observation
from vid3d.lifter.process import ddim, hypothesis_noise
from vid3d.lifter.resample import cubic
from vid3d.lifter.windows import Windows, looks_of_windows
from vid3d.machine import usable_cores
from vid3d.skeleton import COCO17, H36M17

Array = NDArray[np.floating]

_BATCH = 64  # windows at once
_SEQUENCES = {"cpu": 55}  # windows times hypotheses at once: what stays in a core's cache
_MOST_SEQUENCES, _TOKENS = 256, 65_536  # elsewhere, and at most so many tokens
_MOST_WORKERS = 4  # cores that share a step of sampling
_SPLIT = (51, 102, 153, 156, 158)  # joints, coco, deviation, track, contacts, rotation


class _OneThread:
    """How many lift at once in this process, and the threads that torch had before the first.

    torch's number holds for the thread that sets it and for all that begin later, so that one who
    comes second finds the first one's 1 and must not leave it behind.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._inside, self._before = 0, 1

    def enter(self) -> None:
        with self._lock:
            if not self._inside:
                self._before = torch.get_num_threads()
            self._inside += 1
            torch.set_num_threads(1)

    def leave(self) -> None:
        with self._lock:
            self._inside -= 1
            torch.set_num_threads(self._before)


_ONE_THREAD = _OneThread()


@contextmanager
def one_thread() -> Iterator[None]:
    """Run torch on one thread: these networks are so small that threads wait for each other.

    On two busy cores two threads took forty times as long as one.
    """
    _ONE_THREAD.enter()
    try:
        yield
    finally:
        _ONE_THREAD.leave()


@dataclass(frozen=True)
class Dense:
    """The encoder's answer for a whole track, on the grid, in the camera's axes.

    Attributes:
        joints: (G, 17, 3) h36m17 relative to the root, metres.
        coco: (G, 17, 3) coco17 relative to the root, metres.
        root: (G, 3) as `placement.to_track`.
        contacts: (G, 2) in 0..1.
        features: (W, length / every, C) condition of the diffusion head, by window.
        mirrored: the same of the mirror image.
        deviation: (G, 17, 3) metres, expected of joints, in the canonical frame.
        rotation: (G, 3, 3) canonical frame to camera.
        moments: (W, length / every) seconds from each window's start.
    """

    joints: Array
    coco: Array
    root: Array
    contacts: Array
    features: Tensor
    mirrored: Tensor
    deviation: Array
    rotation: Array
    moments: Tensor


@torch.inference_mode()
def encode_track(
    networks: Networks,
    seen: Observation,
    windows: Windows,
    device: torch.device,
    mirror: bool = True,
) -> Dense:
    """Run the encoder on all windows and their mirror images, and blend its answers.

    Without `mirror` in half the time, for questions that need no exact answer.
    """
    looks, moments = looks_of_windows(
        windows, seen.rays, seen.confidence, seen.times, seen.joints.name
    )
    every = networks.config.every
    answers, features, others = [], [], []
    for part in torch.arange(len(moments)).split(_BATCH):
        rows = looks.rows(part, device)
        answer, feature = _encode_batch(networks, rows, moments[part], device)
        other = feature
        if mirror:
            mirrored, other = _encode_batch(networks, rows.mirrored(), moments[part], device)
            answer = 0.5 * (answer + _unmirror(mirrored))
        answers.append(answer.cpu())
        features.append(feature[:, ::every])
        others.append(other[:, ::every])
    blended = windows.blend(torch.cat(answers).double()).numpy()
    joints, coco, deviation, root, contacts, rotation = np.split(blended, _SPLIT, -1)
    joints, coco = (_steady(part, seen.times, windows.step) for part in (joints, coco))
    return Dense(
        joints=joints.reshape(-1, 17, 3),
        coco=coco.reshape(-1, 17, 3),
        root=root,
        contacts=contacts,
        features=torch.cat(features),
        mirrored=torch.cat(others),
        deviation=deviation.reshape(-1, 17, 3),
        rotation=rotation.reshape(-1, 3, 3),
        moments=moments[:, ::every].to(device),
    )


def _steady(joints: Array, look_times: Array, step: float) -> Array:
    """Joints (G, 51) smoothed where looks are dense, so that their 2D jitter shows less.

    A Gaussian of 0.07 s less 0.35 of the gap between looks: nothing from 0.2 s on. On the dev
    actors it takes a quarter off the velocity error at 25 looks a second, at the same MPJPE.
    """
    gap = float(np.median(np.diff(look_times))) if len(look_times) > 1 else np.inf
    width = max(0.0, 0.07 - 0.35 * gap) / step
    return gaussian_filter1d(joints, width, axis=0, mode="nearest") if width > 0 else joints


def _fast(device: torch.device) -> AbstractContextManager[None]:
    """On a GPU, bfloat16 where the networks do not say otherwise, as they were trained."""
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda")


def _encode_batch(
    networks: Networks, looks: Looks, moments: Tensor, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Answers (W, length, 167), split at `_SPLIT`, and features.

    Joints are in the camera's axes, deviations in the canonical frame's.
    """
    moments = moments.to(device)
    canonical = canonicalise(looks, networks.config.centred)
    with _fast(device):
        encoded = networks.encoder(canonical, looks, moments, torch.ones_like(moments).bool())
    encoded = encoded.refined()
    weights, _ = interpolation(looks.times, looks.valid, moments)
    back = rotations(weights @ canonical.angles).transpose(-1, -2)  # canonical to camera
    scale = canonical.scale[:, None, None]
    slopes, log_size = encoded.root.split([2, 1], -1)
    ray = torch.cat([slopes * scale, torch.ones_like(log_size)], -1)
    root = (back @ (ray * torch.exp(log_size) / scale)[..., None])[..., 0]
    depth = root[..., 2:].clamp_min(0.05)
    track = torch.cat([root[..., :2] / depth, depth.log()], -1)
    joints, coco = (
        (back[:, :, None] @ joints[..., None])[..., 0].flatten(2)
        for joints in (encoded.joints, encoded.coco)
    )
    contacts = encoded.contacts.sigmoid()
    deviation = encoded.deviation.flatten(2)
    answers = torch.cat([joints, coco, deviation, track, contacts, back.flatten(2)], -1)
    return answers, encoded.features


def _unmirror(answers: Tensor) -> Tensor:
    """Answers (..., 167) for mirrored looks, as answers for the looks themselves."""
    joints, coco, deviation, track, contacts, rotation = answers.tensor_split(_SPLIT, -1)
    turned = [
        (part.unflatten(-1, (17, 3))[..., order, :] * part.new_tensor([-1.0, 1.0, 1.0])).flatten(-2)
        for part, order in ((joints, H36M17.flip), (coco, COCO17.flip))
    ]
    deviation = deviation.unflatten(-1, (17, 3))[..., H36M17.flip, :].flatten(-2)
    track = track * track.new_tensor([-1.0, 1.0, 1.0])
    # M R M with M = diag(-1, 1, 1): signs of the entries that mix x with y and z.
    signs = rotation.new_tensor([1.0, -1.0, -1.0, -1.0, 1.0, 1.0, -1.0, 1.0, 1.0])
    return torch.cat([*turned, deviation, track, contacts.flip(-1), rotation * signs], -1)


_FLIP = [joint - 1 for joint in H36M17.flip if joint]


def _mirror(values: Tensor) -> Tensor:
    """Poses or errors (..., 48) in a mirror."""
    turned = values.unflatten(-1, (16, 3))[..., _FLIP, :] * values.new_tensor([-1.0, 1.0, 1.0])
    return turned.flatten(-2)


class _Denoising:
    """One step for all windows and hypotheses: what the head says of noisy values, blended."""

    def __init__(self, networks: Networks, dense: Dense, windows: Windows, action: int) -> None:
        self.head, self.windows, self.dense, self.action = (
            networks.diffusion, windows, dense, action
        )  # fmt: skip
        features = [dense.features, dense.mirrored] if self.head.config.flip else [dense.features]
        self.conditions = [self.head.condition_in(each) for each in features]
        tokens = windows.length * self.head.tokens
        device = dense.features.device.type
        self.workers = min(usable_cores(), _MOST_WORKERS) if device == "cpu" else 1
        self.at_once = max(1, min(_SEQUENCES.get(device, _MOST_SEQUENCES), _TOKENS // tokens))

    def clean(self, noisy: Tensor, level: float) -> Tensor:
        """Clean values (H, G, 48) from noisy ones at a level."""
        config = self.head.config
        said = self._said(config.bound(noisy), level)
        signal, noise = self.head.schedule(torch.tensor(level))
        return config.clean(said, noisy, signal, noise)

    def _said(self, noisy: Tensor, level: float) -> Tensor:
        """What the head says of noisy values (H, G, 48), windows after windows."""
        cut = self.windows.cut(noisy)  # (W, H, length, 48)
        owners = torch.arange(len(cut)).repeat_interleave(cut.shape[1])
        noisies, rows = cut.flatten(0, 1).split(self.at_once), owners.split(self.at_once)
        parts = (noisies, repeat(level), rows)
        if self.workers == 1:
            said = list(map(self._batch, *parts))
        else:  # threads for whole parts wait for each other once a step, not at every layer
            with ThreadPoolExecutor(self.workers) as pool:
                said = list(pool.map(self._batch, *parts))
        return self.windows.blend(torch.cat(said).view(cut.shape))

    @torch.inference_mode()  # holds for one thread only
    def _batch(self, noisy: Tensor, level: float, rows: Tensor) -> Tensor:
        device = self.dense.moments.device
        levels = torch.full((len(rows),), level, device=device)
        action = torch.full((len(rows),), self.action, device=device)
        here, times = noisy.to(device), self.dense.moments[rows]

        def ask(values: Tensor, condition: Tensor) -> Tensor:
            with _fast(device):
                return self.head.denoise(values, levels, condition[rows], times, None, action)

        said = ask(here, self.conditions[0])
        if len(self.conditions) > 1:
            said = 0.5 * (said + _mirror(ask(_mirror(here), self.conditions[1])))
        return said.cpu()


@torch.inference_mode()
def sample_offsets(
    networks: Networks,
    dense: Dense,
    windows: Windows,
    hypotheses: int,
    steps: int,
    key: tuple[int, int],
    action: int = -1,
) -> Array:
    """Offsets (H, G, 17, 3) of hypotheses from the encoder's joints, metres, camera axes.

    All windows are denoised together and blended at every step, so that a hypothesis is one
    continuous motion. Residuals are centred: their mean is the encoder's answer, which measured
    better on the dev actors than the mean of what was drawn.

    Args:
        networks: with a head.
        dense: the encoder's answer.
        windows: that it was made with.
        hypotheses: how many.
        steps: of sampling.
        key: seed and track.
        action: index of what is done among those that the head knows, -1 for unknown.

    Raises:
        Vid3dError: the model has no diffusion head.
    """
    if networks.diffusion is None:
        raise Vid3dError(f"model {networks.config.name} draws no hypotheses: ask for 1")
    config = networks.diffusion.config
    coarse = windows.coarser(config.every)
    step = _Denoising(networks, dense, coarse, action)

    def noise(draw: int) -> Tensor:
        return hypothesis_noise(*key, hypotheses, coarse.first, coarse.count, draw)

    sampled = ddim(noise(0), steps, networks.diffusion.schedule, step.clean, config.eta,
                   lambda index: noise(index + 1))  # fmt: skip
    drawn = sampled.double().numpy()
    if config.residual:
        drawn -= drawn.mean(0)
    fine = cubic(np.moveaxis(drawn, 1, 0), coarse.times, windows.times)  # (G, H, 48)
    offsets = np.zeros((windows.count, hypotheses, 17, 3))
    offsets[:, :, 1:] = fine.reshape(windows.count, hypotheses, 16, 3)
    offsets *= dense.deviation[:, None] if config.residual else config.unit
    flat = offsets.reshape(windows.count, -1, 3) @ dense.rotation.transpose(0, 2, 1)
    turned: Array = np.moveaxis(flat.reshape(offsets.shape), 1, 0)
    return turned if config.residual else turned - dense.joints
