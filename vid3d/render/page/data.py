"""What the page knows of a motion: places in a world with the floor at zero, spread, curves."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vid3d.floor import Floor, floor_of, sampled_bodies
from vid3d.kinematics import ANGLES, joint_angles, velocity
from vid3d.motion import Motion
from vid3d.motion_schema import farthest, first_after_cuts, largest_turn, largest_zoom, moves_of
from vid3d.render.page.codec import encode
from vid3d.render.style import person_color
from vid3d.skeleton import H36M17

Array = NDArray[np.float64]

MILLIMETRE, TICK, TURN_STEP = 1e-3, 1e-4, 1e-4
SPREAD_STEP, CONTACT_STEP = 5e-3, 0.1
SPEEDS = {"speed": "pelvis", "left_hand_speed": "left_wrist", "right_hand_speed": "right_wrist",
          "left_foot_speed": "left_ankle", "right_foot_speed": "right_ankle"}  # fmt: skip

CURVE_STEPS = np.array([0.01] * len(SPEEDS) + [0.2] * len(ANGLES))
"""Metres a second and degrees; five times as much where there is much to hold."""
MUCH = 30_000
"""Bodies (people times frames) from which on a page would get too large with fine steps."""


class World:
    """Axes of the page: x right and z backward of the camera, level; y up; the floor at y = 0.

    The origin lies below the people's median place. Metres.

    Args:
        floor: in the camera frame.
        bodies: (N, 17, 3) in the camera frame, N > 0.
    """

    def __init__(self, floor: Floor, bodies: Array):
        right, forward = floor.axes
        self.up = floor.up
        self.rotation = np.stack([right, floor.up, -forward])
        middle = self.rotation @ np.median(bodies[:, 0], 0)
        self.origin = np.array([middle[0], floor.level, middle[2]])

    def place(self, points: NDArray[Any]) -> Array:
        """Points (..., 3) of the camera frame in this one."""
        return points.astype(np.float64) @ self.rotation.T - self.origin


def page_data(motion: Motion) -> dict[str, Any]:
    """All the page shows, as JSON; strings are not escaped yet."""
    floor, bodies = floor_of(motion), sampled_bodies(motion)
    world = World(floor, bodies)
    steps = CURVE_STEPS * (5 if motion.present.sum() > MUCH else 1)
    start = float(motion.timestamps[0])  # apart: `encode` cuts off what is later than 29.8 hours
    spots = world.place(bodies[:, 0])[:, [0, 2]]
    return {
        "title": _source(motion) or "motion",
        "facts": _facts(motion),
        "start": start,
        "times": encode(motion.timestamps[:, None] - start, TICK),
        "keyframes": motion.keyframes.tolist(),
        "cuts": first_after_cuts(motion),
        "bones": H36M17.bones,
        "joints": list(H36M17.joints),
        "camera": _camera(motion, world),
        "room": {"low": spots.min(0).round(3).tolist(), "high": spots.max(0).round(3).tolist()},
        "curves": [
            {"name": name, "step": step, "text": text}
            for (name, text), step in zip(_definitions().items(), steps.tolist(), strict=True)
        ],
        "people": [_person(motion, index, world, steps) for index in range(motion.people)],
    }


def _person(motion: Motion, index: int, world: World, steps: Array) -> dict[str, Any]:
    there = motion.present[index]
    edges = np.flatnonzero(np.diff(np.concatenate([[0], there.astype(np.int8), [0]])))
    joints = world.place(motion.joints3d[index, there])
    joints[:, 1:] -= joints[:, :1]
    blue, green, red = person_color(index)
    return {
        "id": int(motion.track_ids[index]),
        "color": f"#{red:02x}{green:02x}{blue:02x}",
        "runs": edges.reshape(-1, 2).tolist(),
        "joints": encode(joints.reshape(len(joints), 3 * len(H36M17.joints)), MILLIMETRE),
        "spread": encode(motion.spread[index, there], SPREAD_STEP),
        "contacts": encode(motion.contacts[index, there], CONTACT_STEP),
        "curves": encode(_curves(motion, index, world.up) / steps, 1.0),
    }


def _curves(motion: Motion, index: int, up: Array) -> Array:
    """Speeds and angles (N, C) at a person's N frames in sight: metres a second, degrees."""
    joints, there = motion.joints3d[index], motion.present[index]
    moves = velocity(joints[:, H36M17.indices(list(SPEEDS.values()))], motion.timestamps)[there]
    return np.concatenate([np.linalg.norm(moves, axis=-1), joint_angles(joints[there], up)], 1)


def _definitions() -> dict[str, str]:
    """What each curve is, in the order of `_curves`."""
    speeds = {name: f"of the {joint.split('_')[-1]}" for name, joint in SPEEDS.items()}
    return {**speeds, **ANGLES}


def _camera(motion: Motion, world: World) -> dict[str, Any]:
    camera = motion.camera
    moves = {}
    if largest_turn(motion) > 0:
        moves["turns"] = encode(motion.camera_rotation.reshape(-1, 9), TURN_STEP)
    if farthest(motion) > 0:
        moves["places"] = encode(world.place(motion.camera_position), MILLIMETRE)
    if largest_zoom(motion) != 1:
        moves["zooms"] = encode(motion.camera_zoom[:, None], TURN_STEP)
    return {
        "rotation": world.rotation.round(6).tolist(),
        "position": (-world.origin).round(4).tolist(),
        "intrinsics": camera.intrinsics.round(4).tolist(),
        "dist": list(camera.dist or ()),
        "fold": camera.fold if np.isfinite(camera.fold) else None,
        "size": list(camera.frame_size),
        **moves,
    }


def _source(motion: Motion) -> str:
    source = motion.meta.get("source")
    return str(source.get("name", "")) if isinstance(source, dict) else ""


def _facts(motion: Motion) -> list[tuple[str, str]]:
    """Label and text of what is known of the clip as a whole."""
    ground, model = motion.meta.get("ground"), motion.meta.get("model")
    found = "fitted under the people: the file names none"
    if isinstance(ground, dict):
        found = f"from the file (confidence {ground.get('confidence', 'not stated')})"
    width, height = motion.frame_size.tolist()
    cuts = motion.meta.get("cuts")
    facts = [
        ("Source", _source(motion)),
        ("Picture", f"{width} × {height}, {motion.fps:.5g} frames/s, {motion.frames} frames"),
        ("Looked at", f"{len(motion.keyframes)} key frames"),
        ("Field of view", f"{motion.camera.fov:.0f}° across the longer side"),
        ("Camera", moves_of(motion)),
        ("Cuts", f"{len(cuts)}; people are new after each" if cuts else ""),
        ("Floor", found),
        ("Lifter", str(model.get("name", "")) if isinstance(model, dict) else ""),
        ("vid3d", str(motion.meta.get("vid3d", ""))),
    ]
    return [(label, text) for label, text in facts if text]
