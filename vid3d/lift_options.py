"""Everything that a lift can be told."""

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from vid3d.camera import ASSUMED_FOV, Camera
from vid3d.errors import Vid3dError
from vid3d.files import expanded
from vid3d.given import (
    SEEDS,
    file_path,
    real_number,
    real_numbers,
    truth,
    unfit,
    whole_number,
    words,
)
from vid3d.lifter.aggregation import AGGREGATES
from vid3d.weights import split_adapters
from vid3d.world.smoothing import DEFAULT as SMOOTH


@dataclass(frozen=True)
class LiftOptions:
    """Everything a lift can be told; the defaults are what `vid3d lift VIDEO` uses.

    Files may be given as text or as paths, one height for everybody as a number, numbers as
    numpy's, a track id as a number and a device as torch's.

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
            the keypoint file or the video says, else what the camera's turns tell, else
            `ASSUMED_FOV`.
        travelling: whether the camera goes from place to place, and its way is to be found.
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
    travelling: bool = False
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
        for item in fields(self):
            value = getattr(self, item.name)
            if value is not None or item.default is not None:
                object.__setattr__(self, item.name, _SETTLED[item.name](item.name, value))
        if sum(given is not None for given in (self.camera, self.intrinsics, self.fov)) > 1:
            raise Vid3dError("camera, intrinsics and fov exclude each other: give one of them")
        if self.end is not None and self.end < (self.start or 0):
            raise Vid3dError(f"end is {self.end:g} s, start {self.start:g} s: end must be later")

    def camera_of(self, seen: Camera | None, frame_size: tuple[int, int]) -> Camera:
        """The camera of a clip, as known or assumed, given what its source says of it, or None."""
        return self.known_camera(seen, frame_size) or Camera.from_fov(ASSUMED_FOV, frame_size)

    def known_camera(self, seen: Camera | None, frame_size: tuple[int, int]) -> Camera | None:
        """The same; None where neither these options nor the source say anything."""
        if isinstance(self.camera, Path):
            return Camera.from_json(self.camera, frame_size)
        if self.camera is not None:
            return self.camera.resized(frame_size)
        if self.intrinsics is not None:
            return Camera.from_focal(*self.intrinsics, frame_size=frame_size)
        return seen if self.fov is None else Camera.from_fov(self.fov, frame_size)

    def to_meta(self) -> dict[str, Any]:
        """What is set, as JSON holds it; of networks in files only the name, as of other files."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        base, adapters = split_adapters(self.model)
        values["model"] = "+".join(map(_name, (base, *adapters)))
        values["detector"], values["pose"] = _name(self.detector), _name(self.pose)
        return {name: _plain(value) for name, value in values.items() if value is not None}


def _stride(name: str, value: Any) -> int | str:
    return value if isinstance(value, str) and value == "auto" else _count(name, value)


def _count(name: str, value: Any) -> int:
    return whole_number(name, value, 1)


def _seed(name: str, value: Any) -> int:
    return whole_number(name, value, *SEEDS)


def _seconds(name: str, value: Any) -> float:
    seconds = real_number(name, value, "seconds from 0 up")
    if not 0 <= seconds < math.inf:
        raise unfit(name, value, "seconds from 0 up")
    return seconds


def _share(name: str, value: Any) -> float:
    share = real_number(name, value, "0 to 1")
    if not 0 <= share <= 1:
        raise unfit(name, value, "0 to 1")
    return share


def _degrees(name: str, value: Any) -> float:
    return real_number(name, value, "degrees")


def _metres(name: str, value: Any) -> float:
    metres = real_number(name, value, "metres between 0.3 and 3, or a table of them by track id")
    if not 0.3 <= metres <= 3:
        raise unfit(name, value, "metres between 0.3 and 3")
    return metres


def _heights(name: str, value: Any) -> dict[int | None, float]:
    if not isinstance(value, Mapping):
        return {None: _metres(name, value)}
    return {
        None if key is None else whole_number(f"a track id of {name}", key): _metres(name, metres)
        for key, metres in value.items()
    }


def _network(name: str, value: Any) -> str:
    return value if isinstance(value, str) else str(file_path(name, value))


def _camera(name: str, value: Any) -> Camera | Path:
    return value if isinstance(value, Camera) else file_path(name, value)


def _intrinsics(name: str, value: Any) -> tuple[float, ...]:
    numbers = real_numbers(name, value)
    if numbers.shape != (4,):
        raise unfit(name, value, "fx, fy, cx, cy in pixels")
    return tuple(numbers.tolist())


def _person(name: str, value: Any) -> str:
    if isinstance(value, str):
        if value in ("largest", "longest") or value.removeprefix("-").isdecimal():
            return value
        raise unfit(name, value, "largest, longest or a track id")
    return str(whole_number(name, value))


def _aggregate(name: str, value: Any) -> str:
    if words(name, value) not in AGGREGATES:
        raise unfit(name, value, f"one of {', '.join(AGGREGATES)}")
    return str(value)


def _device(name: str, value: Any) -> str:
    return words(name, str(value))  # torch has a type of its own for devices


_SETTLED: dict[str, Callable[[str, Any], Any]] = {
    "stride": _stride,
    **dict.fromkeys(("detect_every", "hypotheses", "steps", "max_people"), _count),
    **dict.fromkeys(("detector", "pose", "model"), _network),
    **dict.fromkeys(("flip_test", "travelling", "floor"), truth),
    **dict.fromkeys(("backend", "action"), words),
    **dict.fromkeys(("start", "end"), _seconds),
    "keypoints": file_path,
    "aggregate": _aggregate,
    "camera": _camera,
    "intrinsics": _intrinsics,
    "fov": _degrees,
    "height": _heights,
    "person": _person,
    "smooth": _share,
    "device": _device,
    "seed": _seed,
}
"""What callers give (text, paths, numpy's numbers) as each field holds it, so that JSON can."""


def _name(network: str) -> str:
    """A network's own name, or that of its file or folder."""
    return Path(os.path.abspath(expanded(network))).name


def _plain(value: Any) -> Any:
    """An option as JSON holds it; of paths only the name, so that no home folder leaks."""
    if isinstance(value, Camera):
        return {"intrinsics": value.intrinsics.tolist(), "dist": value.dist}
    if isinstance(value, Path):
        return value.name
    if isinstance(value, Mapping):
        return {str(key): item for key, item in value.items()}
    return value
