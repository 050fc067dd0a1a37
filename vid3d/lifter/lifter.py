"""The lifter as the pipeline calls it: 2D looks of one person in, dense placed 3D out."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from vid3d.camera import Camera
from vid3d.data.coco import ORIGINS
from vid3d.errors import Vid3dError
from vid3d.given import SEEDS, real_numbers, unfit, whole_number
from vid3d.lifter import aggregation, placement
from vid3d.lifter.checkpoint import Networks, load_networks
from vid3d.lifter.encoder import EncoderConfig
from vid3d.lifter.inference import Dense, encode_track, one_thread, sample_offsets
from vid3d.lifter.observation import Observation, observe
from vid3d.lifter.outliers import without_outliers
from vid3d.lifter.published.text import load_text_encoder
from vid3d.lifter.resample import cubic, linear
from vid3d.lifter.sides import with_sides
from vid3d.lifter.windows import PLANS, Windows
from vid3d.machine import find_device
from vid3d.skeleton import H36M17

Array = NDArray[np.floating]


@dataclass(frozen=True)
class Lifted:
    """One person's motion.

    Attributes:
        joints3d: (F, 17, 3) float32 h36m17, metres, camera frame, root placed in space.
        spread: (F, 17) float32 metres, root-relative; about 68 % of errors lie inside. NaN where a
            single hypothesis was drawn.
        root_spread: (F,) float32 metres, of the root's place; NaN likewise.
        contacts: (F, 2) float32 in 0..1, left and right foot at rest.
    """

    joints3d: NDArray[np.float32]
    spread: NDArray[np.float32]
    root_spread: NDArray[np.float32]
    contacts: NDArray[np.float32]


def factor_at(factors: Mapping[str, float], joints: str, steps: int) -> float:
    """The spread's factor for looks of a joint set at a number of steps.

    Args:
        factors: see `LifterConfig.spread`; of the steps that were fitted, the nearest number below
            counts, if there is one.
        joints: name of the joint set.
        steps: of sampling.
    """
    keys = [key.partition(":") for key in factors]
    own = {int(number): factors[f"{name}:{number}"] for name, _, number in keys if name == joints}
    own = own or {int(name): factors[name] for name, colon, _ in keys if not colon}
    below = [number for number in own if number <= steps]
    return own[max(below) if below else min(own)]


class Lifter:
    """Dense 3D motion from sparse 2D looks."""

    def __init__(self, networks: Networks, device: str = "cpu") -> None:
        self.networks = networks
        self.config = networks.config
        self.name = networks.config.name
        self.sha256 = networks.sha256
        self.device = torch.device(device)

    @classmethod
    def load(cls, model: str | Path = "vid3d-base", device: str = "cpu") -> "Lifter":
        """A lifter by shipped name, folder or safetensors file.

        Raises:
            Vid3dError: no such model or device, or not a lifter that this version reads.
        """
        device = find_device(device)
        with one_thread():  # torch's threads, once begun, would hang processes forked later
            return cls(load_networks(model, device), device)

    def __call__(
        self,
        keypoints2d: ArrayLike,
        confidence: ArrayLike,
        *,
        times: ArrayLike,
        out_times: ArrayLike,
        camera: Camera,
        joint_set: str = "h36m17",
        hypotheses: int | None = None,
        steps: int | None = None,
        aggregate: str | None = None,
        seed: int = 0,
        track: int = 0,
        action: str | None = None,
    ) -> Lifted:
        """Lift one person.

        Args:
            keypoints2d: (K, 17, 2) pixels at the looks.
            confidence: (K, 17) in 0..1; 0 = missing, whatever the coordinates.
            times: (K,) seconds of the looks, rising.
            out_times: (F,) seconds wanted, rising; any rate.
            camera: that saw the looks.
            joint_set: of the keypoints, `h36m17` or `coco17`.
            hypotheses: how many; 1 is the encoder alone. None: the model's default.
            steps: sampling steps. None: the model's default.
            aggregate: `soft`, `jpma`, `mean` or `best`. None: the model's default.
            seed: of the hypotheses; the same seed gives the same result.
            track: number of the person, so that people differ.
            action: what the person does, like "kicking a ball", for models that listen to it.

        Raises:
            Vid3dError: arrays of wrong shapes, nothing seen, or an option that does not fit.
        """
        rule = aggregate or self.config.aggregate
        if rule not in aggregation.AGGREGATES:
            known = ", ".join(aggregation.AGGREGATES)
            raise Vid3dError(f"aggregate is {rule!r}, expected one of {known}")
        drawn = self.draw(
            keypoints2d, confidence, times=times, out_times=out_times, camera=camera,
            joint_set=joint_set, hypotheses=hypotheses, steps=steps, seed=seed, track=track,
            action=action,
        )  # fmt: skip
        sampling = self.config.steps if steps is None else steps
        return self._finish(drawn, np.asarray(out_times, np.float64), rule, sampling)

    def draw(
        self,
        keypoints2d: ArrayLike,
        confidence: ArrayLike,
        *,
        times: ArrayLike,
        out_times: ArrayLike,
        camera: Camera,
        joint_set: str = "h36m17",
        hypotheses: int | None = None,
        steps: int | None = None,
        seed: int = 0,
        track: int = 0,
        action: str | None = None,
    ) -> "Hypotheses":
        """Hypotheses about one person, before they become one result; as for `__call__`."""
        count = self.config.hypotheses if hypotheses is None else hypotheses
        sampling = self.config.steps if steps is None else steps
        count, sampling = whole_number("hypotheses", count, 1), whole_number("steps", sampling, 1)
        key = whole_number("seed", seed, *SEEDS), whole_number("track", track)
        if not isinstance(camera, Camera):
            raise unfit("camera", camera, "a vid3d.Camera")
        seen = observe(keypoints2d, confidence, times, camera, joint_set)
        wanted = real_numbers("out_times", out_times)
        rising = wanted.ndim == 1 and len(wanted) > 0 and (np.diff(wanted) >= 0).all()
        if not (rising and np.isfinite(wanted).all()):
            raise Vid3dError(f"out_times is {wanted.shape}, expected finite rising seconds (F,)")
        told = self._action(action)
        windows = self._plan(seen, wanted)
        offsets: Array = np.zeros((1, windows.count, 17, 3))
        head = self.config.diffusion
        with one_thread():
            if isinstance(self.config.encoder, EncoderConfig):  # it knows hidden limbs
                seen = with_sides(seen, partial(self._poses, windows=windows, mirror=False))
                seen = without_outliers(seen, self._poses(seen, windows))
            dense = encode_track(self.networks, seen, windows, self.device)
            if count > 1 or (head is not None and not head.residual):
                offsets = sample_offsets(self.networks, dense, windows, count, sampling, key, told)
        return Hypotheses(seen, windows, dense, offsets)

    def _poses(self, seen: Observation, windows: Windows, mirror: bool = True) -> Array:
        """The encoder's answer at the looks (K, 17, 3), in the joints that are seen."""
        dense = encode_track(self.networks, seen, windows, self.device, mirror)
        own = dense.joints if seen.joints is H36M17 else dense.coco
        return cubic(own, windows.times, seen.times)

    def _action(self, text: str | None) -> int:
        """Index of what is done among the actions that the head knows, -1 for unknown.

        Raises:
            Vid3dError: the model does not listen to actions.
        """
        if text is None:
            return -1
        prompts = getattr(self.networks.diffusion, "prompts", None)
        if prompts is None:
            raise Vid3dError(f"model {self.name} does not listen to actions: leave {text!r} out")
        encoder = self.networks.diffusion.config.text
        found: int = prompts.find_action(text, lambda: load_text_encoder(encoder))
        return found

    def _plan(self, seen: Observation, wanted: Array) -> Windows:
        begin, end = min(seen.times[0], wanted[0]), max(seen.times[-1], wanted[-1])
        config = self.config
        length = round(config.seconds / config.grid) + 1
        plan = PLANS[config.windows]
        return plan(float(begin), float(end), config.grid, length, config.every)

    def _finish(self, drawn: "Hypotheses", wanted: Array, rule: str, steps: int) -> Lifted:
        """Aggregate, place, and go from the grid to the wanted times."""
        grid, dense, offsets = drawn.windows.times, drawn.dense, drawn.offsets
        chosen = aggregation.combine(offsets, drawn.weights(rule))
        joints: Array = dense.joints + chosen
        if self.config.constant_bones:
            joints = aggregation.constant_bones(joints)
        roots = drawn.place(chosen)
        spread = np.full((len(grid), 17), np.nan)
        root_spread = np.full((len(grid), 1), np.nan)
        if len(offsets) > 1:
            deviation = np.sqrt(offsets.var(0, ddof=1).sum(-1))
            seen = drawn.seen.joints.name
            spread = factor_at(self.config.spread, seen, steps) * deviation
            root_spread = factor_at(self.config.root_spread, seen, steps) * drawn.root_deviation()
        return Lifted(
            joints3d=cubic(joints + roots[:, None], grid, wanted).astype(np.float32),
            spread=linear(spread, grid, wanted).astype(np.float32),
            root_spread=linear(root_spread, grid, wanted)[:, 0].astype(np.float32),
            contacts=linear(dense.contacts, grid, wanted).astype(np.float32),
        )


@dataclass(frozen=True)
class Hypotheses:
    """Hypotheses of one track on the grid, and what they mean at the looks.

    Attributes:
        seen: the looks.
        windows: grid and windows.
        dense: the encoder's answer.
        offsets: (H, G, 17, 3) metres from the encoder's joints, camera axes.
    """

    seen: Observation
    windows: Windows
    dense: Dense
    offsets: Array

    def poses(self, times: Array) -> Array:
        """Joints (H, F, 17, 3) of every hypothesis relative to the root, at seconds (F,)."""
        joints = np.moveaxis(self.dense.joints + self.offsets, 1, 0)  # (G, H, 17, 3)
        return np.moveaxis(cubic(joints, self.windows.times, times), 1, 0)

    def own_joints(self, offsets: Array) -> Array:
        """The input's own joints (H, K, 17, 3) at the looks, for offsets (H, G, 17, 3)."""
        own = self.dense.joints
        if self.seen.joints is not H36M17:
            own, offsets = self.dense.coco, offsets[:, :, ORIGINS]
        grid, times = self.windows.times, self.seen.times
        between = linear(np.moveaxis(offsets, 0, 1), grid, times)
        return cubic(own, grid, times) + np.moveaxis(between, 1, 0)

    @cached_property
    def joints_at_looks(self) -> Array:
        """The input's own joints (H, K, 17, 3) of every hypothesis."""
        return self.own_joints(self.offsets)

    @cached_property
    def roots_at_looks(self) -> Array:
        """Least-squares roots (H, K, 3) of every hypothesis."""
        seen = self.seen
        return placement.solve_roots(self.joints_at_looks, seen.rays, seen.confidence)

    @cached_property
    def shared_root(self) -> Array:
        """Least-squares root (K, 3) of the mean of all hypotheses.

        A root of its own takes up part of what a hypothesis's joints are wrong by.
        """
        seen = self.seen
        return placement.solve_roots(self.joints_at_looks.mean(0), seen.rays, seen.confidence)

    def weights(self, rule: str) -> Array:
        """Weights (H, G, 17) of an aggregation rule."""
        seen, grid, count = self.seen, self.windows.times, len(self.offsets)
        if rule == "mean" or count == 1:
            return aggregation.mean_weights(count, len(grid))
        if rule == "soft":
            residuals = placement.reprojection_residuals(
                self.joints_at_looks, self.roots_at_looks, seen.rays
            )
            return aggregation.soft_weights(
                residuals, seen.confidence, seen.joints, seen.times, grid
            )
        roots = self.shared_root if rule == "jpma" else self.roots_at_looks
        errors = placement.reprojection_errors(
            self.joints_at_looks, roots, seen.rays, seen.confidence
        )
        if rule == "best":
            return aggregation.best_weights(errors, len(grid))
        return aggregation.jpma_weights(errors, seen.joints, seen.times, grid)

    def place(self, offsets: Array) -> Array:
        """Root positions (G, 3) for the aggregated offsets (G, 17, 3)."""
        seen, grid = self.seen, self.windows.times
        own = self.own_joints(offsets[None])[0]
        solved = placement.solve_roots(own, seen.rays, seen.confidence)
        trust = seen.confidence.sum(-1)
        return placement.place_roots(self.dense.root, solved, trust, seen.times, grid)

    def root_deviation(self) -> Array:
        """Deviation (G, 1) over hypotheses of the roots solved at the looks."""
        deviation = np.sqrt(self.roots_at_looks.var(0, ddof=1).sum(-1, keepdims=True))
        return linear(deviation, self.seen.times, self.windows.times)
