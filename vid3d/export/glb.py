"""GLB: everybody as a skinned, animated capsule figure in one scene, with the camera; metres, y up.

glTF prescribes metres and y up. Who is absent is scaled to nothing by a stepped key, where they
were last seen (glTF has no animated visibility that importers agree on).
"""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vid3d.export.figure import SIDES, figure, side_colors
from vid3d.export.gltf import INDICES, VERTICES, Document
from vid3d.export.rig import JOINTS, PARENTS
from vid3d.export.rotations import quaternions
from vid3d.export.space import CAMERA_TO_Y_UP
from vid3d.export.take import Animation, Take
from vid3d.motion_schema import farthest, largest_turn, largest_zoom

Array = NDArray[np.float64]
Tracks = dict[str, list[dict[str, Any]]]


def write(take: Take, folder: Path, stem: str) -> list[Path]:
    """Write STEM.glb over the whole clip; time 0 is the clip's first frame."""
    extras = {**take.about(), "frame": take.space.turned("y").to_meta(), "units": "metres",
              "rate": take.steady.fps}  # fmt: skip
    document = Document({"generator": extras["generator"], "extras": extras})
    tracks: Tracks = {"channels": [], "samplers": []}
    times = take.steady.timestamps - take.steady.timestamps[0]
    nodes = [_camera(document, tracks, take, times)]
    for index, animation in enumerate(take.animations):
        person, hips = _person(document, animation, index)
        nodes.append(person)
        _animate(document, tracks, animation, hips, times)
    if tracks["channels"]:
        document.add("animations", {"name": stem, **tracks})
    document.add("scenes", {"name": stem, "nodes": nodes})
    document.content["scene"] = 0
    return [document.save(folder / f"{stem}.glb")]


def _camera(document: Document, tracks: Tracks, take: Take, times: Array) -> int:
    """Node of the camera that filmed the clip; the principal point is taken as the centre.

    No lens of glTF's core can zoom over time: it is that of the first look, and `extras` say how
    the camera zoomed.
    """
    matrix, (width, height) = take.motion.intrinsics, take.motion.frame_size
    zooms = take.steady.camera_zoom.astype(float).round(5).tolist()
    lens = {
        "aspectRatio": float(width * matrix[1, 1] / (height * matrix[0, 0])),
        "yfov": float(2 * np.arctan2(height / 2, matrix[1, 1])),
        "znear": 0.05,
    }
    camera = document.add("cameras", {"name": "camera", "type": "perspective", "perspective": lens})
    space = take.space.turned("y")
    # glTF's cameras look along -z, y up
    turns = quaternions(space.orientations(take.steady.camera_rotation) @ CAMERA_TO_Y_UP.T)
    places = space.place(take.steady.camera_position)
    node = document.add(
        "nodes",
        {
            "name": "camera",
            "camera": camera,
            "translation": places[0].tolist(),
            "rotation": turns[0].tolist(),
            "extras": {
                "intrinsics": matrix.astype(float).tolist(),
                **({"zoom": zooms} if largest_zoom(take.motion) != 1 else {}),
            },
        },
    )
    if largest_turn(take.motion) > 0:
        _track(document, tracks, node, "rotation", document.array(times), turns)
    if farthest(take.motion) > 0:
        _track(document, tracks, node, "translation", document.array(times), places)
    return node


def _person(document: Document, animation: Animation, number: int) -> tuple[int, int]:
    """Nodes of a person and of their hips; the joints' nodes follow the hips in order."""
    name, rig = f"person{animation.track_id}", animation.rig
    hips = len(document.content.get("nodes", []))
    for index, joint in enumerate(JOINTS):
        children = [hips + child for child, parent in enumerate(PARENTS) if parent == index]
        document.add(
            "nodes",
            {
                "name": joint.name,
                "translation": (rig.offsets[index] if index else animation.root[0]).tolist(),
                "rotation": quaternions(animation.rotations[:1, index])[0].tolist(),
                **({"children": children} if children else {}),
            },
        )
    inverse = np.tile(np.eye(4), (len(JOINTS), 1, 1))
    inverse[:, :3, 3] = -rig.rest()
    skin = {
        "name": name,
        "joints": list(range(hips, hips + len(JOINTS))),
        "skeleton": hips,
        "inverseBindMatrices": document.array(inverse),
    }
    mesh = {"mesh": _mesh(document, animation, number), "skin": document.add("skins", skin)}
    body = document.add("nodes", {"name": f"{name}_body", **mesh})
    extras = {"track_id": animation.track_id, "residual_mm": animation.residual_mm()}
    person = {"name": name, "children": [hips, body], "extras": extras}
    return document.add("nodes", person), hips


def _mesh(document: Document, animation: Animation, number: int) -> int:
    """The figure of the number-th person."""
    shape = figure(animation.rig)
    nothing = np.zeros((len(shape.joints), 3))
    attributes = {
        "POSITION": document.array(shape.points, target=VERTICES),
        "NORMAL": document.array(shape.normals, target=VERTICES),
        "JOINTS_0": document.array(np.c_[shape.joints, nothing], np.uint8, VERTICES),
        "WEIGHTS_0": document.array(np.c_[nothing[:, 0] + 1, nothing], target=VERTICES),
    }
    colors = side_colors(number)
    primitives: list[dict[str, Any]] = []
    for side in SIDES:
        faces = document.array(shape.faces[side].reshape(-1), np.uint16, INDICES)
        look = {"baseColorFactor": [*colors[side], 1.0], "metallicFactor": 0.0,
                "roughnessFactor": 0.7}  # fmt: skip
        material = {"name": f"person{animation.track_id}_{side}", "pbrMetallicRoughness": look}
        primitives.append({"attributes": attributes, "indices": faces,
                           "material": document.add("materials", material)})  # fmt: skip
    return document.add("meshes", {"name": f"person{animation.track_id}", "primitives": primitives})


def _animate(
    document: Document,
    tracks: Tracks,
    animation: Animation,
    hips: int,
    times: Array,
) -> None:
    """Tracks of everything that moves; times (F,) seconds of the whole clip."""
    span = document.array(times[animation.first : animation.first + len(animation.root)])
    track = partial(_track, document, tracks)
    track(hips, "translation", span, animation.root)
    for index, joint in enumerate(JOINTS):
        if joint.free != "fixed":
            track(hips + index, "rotation", span, quaternions(animation.rotations[:, index]))
    shown = np.zeros(len(times), bool)
    shown[animation.first : animation.first + len(animation.present)] = animation.present
    if not shown.all():
        keys = np.flatnonzero(np.diff(shown, prepend=not shown[0]))
        seen = np.repeat(shown[keys, None].astype(float), 3, axis=1)
        track(hips, "scale", document.array(times[keys]), seen, "STEP")


def _track(
    document: Document,
    tracks: Tracks,
    node: int,
    path: str,
    inputs: int,
    values: Array,
    how: str = "LINEAR",
) -> None:
    """One thing that moves: values at the times that an accessor holds."""
    sampler = {"input": inputs, "output": document.array(values), "interpolation": how}
    tracks["samplers"].append(sampler)
    target = {"node": node, "path": path}
    tracks["channels"].append({"sampler": len(tracks["samplers"]) - 1, "target": target})
