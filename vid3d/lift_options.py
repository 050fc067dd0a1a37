"""Everything that a lift can be told."""

import math
import operator
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from vid3d.camera import ASSUMED_FOV, Camera
from vid3d.errors import Vid3dError
from vid3d.weights import split_adapters
from vid3d.world.smoothing import DEFAULT as SMOOTH

_COUNTS = ("stride", "detect_every", "hypotheses", "steps", "max_people")


@dataclass(frozen=True)
class LiftOptions:
    """Everything a lift can be told; the defaults are what `vid3d lift VIDEO` uses.

    Files may be given as text or as paths, and one height for everybody as a number.

    Attributes:
        stride: frames from one look to the next; None: about five looks a second; "auto":
            those, but for looks at which nobody moves.
        detect_every: looks from one detection to the next; in between boxes follow the poses.
        backend: "auto", "onnx" or "mmpose".
        detector: person detector, by name or path.
        pose: 2D pose network, by name or path.
        flip_test: whether the pose network looks at everybody in the mirror too: more accurate,
            and its time twice.
        keypoints: file of 2D keypoints to use instead of the networks.
        model: lifter, by name or path.
        hypotheses: how many 3D hypotheses are drawn; None: the model's own default.
        steps: sampling steps of each; None: the model's own default.
        aggregate: how hypotheses become one result; None: the model's own default.
        action: what the people do, like "kicking a ball", for lifters that listen to it.
        camera: the camera, or a JSON file of it.
        intrinsics: fx, fy, cx, cy in pixels of the video, instead of a camera.
        fov: degrees across the longer side, instead of a camera; without any of the three, what
            the keypoint file or the video says, else `ASSUMED_FOV`.
        height: metres a person is tall, by track id; None as the key means everybody.
        max_people: keep at most so many people, those seen most.
        person: keep one: "largest", "longest" or a track id.
        smooth: 0 (as lifted) to 1 (calmest); never shifts timing.
        floor: whether people are put on the floor found under them and standing feet stand still.
        start: seconds to begin at.
        end: seconds to stop at.
        device: "auto", "cpu", "cuda" or "cuda:N".
        seed: of the hypotheses; the same seed gives the same file.
    """

    stride: int | Literal["auto"] | None = None
    detect_every: int = 1
    backend: str = "auto"
    detector: str = "vid3d-person"
    pose: str = "vid3d-pose"
    flip_test: bool = False
    keypoints: Path | None = None
    model: str = "vid3d-base"
    hypotheses: int | None = None
    steps: int | None = None
    aggregate: str | None = None
    action: str | None = None
    camera: Camera | Path | None = None
    intrinsics: tuple[float, float, float, float] | None = None
    fov: float | None = None
    height: Mapping[int | None, float] = field(default_factory=dict)
    max_people: int | None = None
    person: str | None = None
    smooth: float = SMOOTH
    floor: bool = True
    start: float | None = None
    end: float | None = None
    device: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        self._settle_types()
        for name in _COUNTS:
            value = getattr(self, name)
            if value is None or (name == "stride" and value == "auto"):
                continue
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise Vid3dError(f"{name} is {value!r}, expected a whole number from 1 up")
        known = self.person in (None, "largest", "longest")
        if not known and not str(self.person).removeprefix("-").isdecimal():
            raise Vid3dError(f"person is {self.person!r}, expected largest, longest or a track id")
        for name in ("start", "end"):
            seconds = getattr(self, name)
            if seconds is not None and not 0 <= seconds < math.inf:
                raise Vid3dError(f"{name} is {seconds}, expected seconds from 0 up")
        if not 0 <= self.smooth <= 1:
            raise Vid3dError(f"smooth is {self.smooth}, expected 0 to 1")
        if sum(given is not None for given in (self.camera, self.intrinsics, self.fov)) > 1:
            raise Vid3dError("camera, intrinsics and fov exclude each other: give one of them")
        if self.intrinsics is not None and len(self.intrinsics) != 4:
            raise Vid3dError(f"intrinsics is {self.intrinsics}, expected fx, fy, cx, cy in pixels")
        for metres in self.height.values():
            if not 0.3 <= metres <= 3:
                raise Vid3dError(f"height is {metres}, expected metres between 0.3 and 3")

    def _settle_types(self) -> None:
        """Text and paths, a number and a table, as the fields hold them."""
        for name in ("keypoints", "camera"):
            if isinstance(value := getattr(self, name), str):
                object.__setattr__(self, name, Path(value))
        for name in ("detector", "pose", "model"):
            object.__setattr__(self, name, os.fspath(getattr(self, name)))
        for name in (*_COUNTS, "seed"):
            object.__setattr__(self, name, _plain_number(getattr(self, name)))
        if isinstance(self.height, int | float):
            object.__setattr__(self, "height", {None: self.height})

    def camera_of(self, seen: Camera | None, frame_size: tuple[int, int]) -> Camera:
        """The camera of a clip, given what its source says of it, or None."""
        if isinstance(self.camera, Path):
            return Camera.from_json(self.camera, frame_size)
        if self.camera is not None:
            return self.camera.resized(frame_size)
        if self.intrinsics is not None:
            return Camera.from_focal(*self.intrinsics, frame_size=frame_size)
        if self.fov is None and seen is not None:
            return seen
        return Camera.from_fov(ASSUMED_FOV if self.fov is None else self.fov, frame_size)

    def to_meta(self) -> dict[str, Any]:
        """What is set, as JSON holds it; of networks in files only the name, as of other files."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        base, adapters = split_adapters(self.model)
        values["model"] = "+".join(map(_name, (base, *adapters)))
        values["detector"], values["pose"] = _name(self.detector), _name(self.pose)
        return {name: _plain(value) for name, value in values.items() if value is not None}


def _plain_number(value: Any) -> Any:
    """A whole number of numpy's as Python's, which JSON holds; anything else as it is."""
    if isinstance(value, bool):
        return value
    try:
        return operator.index(value)
    except TypeError:
        return value


def _name(network: str) -> str:
    """A network's own name, or that of its file or folder."""
    return Path(os.path.abspath(Path(network).expanduser())).name


def _plain(value: Any) -> Any:
    """An option as JSON holds it; of paths only the name, so that no home folder leaks."""
    if isinstance(value, Camera):
        return {"intrinsics": value.intrinsics.tolist(), "dist": value.dist}
    if isinstance(value, Path):
        return value.name
    if isinstance(value, Mapping):
        return {str(key): item for key, item in value.items()}
    return value
