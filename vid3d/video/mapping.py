"""Where a travelling camera was, found from what stands still (structure from motion).

Features of the background (SIFT, Lowe 2004) are matched between pictures near each other in time;
all places and turns of the camera that agree with them are found at once (global mapping: Pan,
Barath, Pollefeys and Schönberger, "Global Structure-from-Motion Revisited", ECCV 2024). Both are
pycolmap's. How large the scene is no camera sees: places are in a unit of their own. A lens that
nobody knows is found along with them, unless the way is such that any would do, as straight to the
side.
"""

import copy
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vid3d.camera import Camera
from vid3d.errors import Vid3dError
from vid3d.video.captions import captions
from vid3d.video.change import inside
from vid3d.video.frame import Image
from vid3d.video.scenery import Scenery, free_in

Array = NDArray[np.float64]

LONGER_SIDE = 960
"""Pixels of the grey copies that features are found in, at most."""
DILATION = 0.1
"""How far around their boxes people may stand before the background, as a share of the box."""
OFTEN = 0.2
"""Share of the times that captions are found, at which there are some at a place that counts."""
FEATURES, OVERLAP = 2000, 10
"""Of a picture at most, and pictures after it in which they are looked for (and as many more, each
twice as far)."""
FEWEST_POINTS, FEWEST_SHARE = 50, 0.5
"""Points of the scene, and share of the pictures, without which nothing is believed."""
OTHERS, WORSE = (0.9, 1.1), 1.005
"""A focal length is believed if with so many times it everything fits that much worse."""


@dataclass(frozen=True)
class Picture:
    """A picture to find the camera of.

    Attributes:
        index: its name.
        image: BGR (H, W, 3).
        boxes: (N, 4) people in it, pixels.
    """

    index: int
    image: Image
    boxes: NDArray[np.floating]


@dataclass(frozen=True)
class Placed:
    """Cameras in one frame, in an unknown unit.

    Attributes:
        indices: (K,) of the pictures that were placed, rising.
        rotation: (K, 3, 3) takes points to the camera's frame.
        position: (K, 3) of the camera.
        fov: degrees across the longer side, where that was asked for and found.
    """

    indices: NDArray[np.int64]
    rotation: Array
    position: Array
    fov: float | None = None


def require_mapping() -> ModuleType:
    """Pycolmap.

    Raises:
        Vid3dError: it is not installed.
    """
    try:
        import pycolmap
    except ImportError as error:
        raise Vid3dError(
            "a travelling camera needs the package pycolmap: pip install 'vid3d[travel]'"
        ) from error
    return pycolmap


def place_cameras(
    pictures: Iterable[Picture], camera: Camera, seed: int = 0, lens_known: bool = True
) -> Placed | None:
    """Where the camera was at each of the pictures; None where too little tells.

    Args:
        pictures: of one scene, in the order of time.
        camera: that all were taken with.
        seed: the same finds the same.
        lens_known: whether the camera's focal length is; else it is where to begin.

    Raises:
        Vid3dError: pycolmap is not installed.
    """
    colmap = require_mapping()
    colmap.logging.minloglevel = int(colmap.logging.FATAL)
    with tempfile.TemporaryDirectory(prefix="vid3d-") as name:
        folder = Path(name)
        small = _reduced(camera)
        count = _write(pictures, small.frame_size, folder)
        if count < 3:
            return None
        _match(colmap, folder, small, seed, lens_known)
        model = None if lens_known else _mapped(colmap, folder, seed, lens_known=False)
        fov = None if model is None else _clear_fov(colmap, model)
        if fov is None:
            model = _mapped(colmap, folder, seed)
    if model is None or model.num_reg_images() < max(3, FEWEST_SHARE * count):
        return None
    return _placed(model, fov) if model.num_points3D() >= FEWEST_POINTS else None


def _reduced(camera: Camera) -> Camera:
    """The camera of the grey copies."""
    scale = min(1.0, LONGER_SIDE / max(camera.frame_size))
    width, height = (max(1, round(side * scale)) for side in camera.frame_size)
    return camera.resized((width, height))


def _write(pictures: Iterable[Picture], size: tuple[int, int], folder: Path) -> int:
    """Write grey copies, and masks that are 0 at people and captions; returns how many."""
    (folder / "pictures").mkdir()
    (folder / "masks").mkdir()
    boxes: dict[int, NDArray[np.floating]] = {}
    times, covered, before = 0, np.zeros(1, np.float32), None
    for one in pictures:
        grey = cv2.cvtColor(one.image, cv2.COLOR_BGR2GRAY)
        boxes[one.index] = one.boxes * (size[0] / grey.shape[1])
        grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(folder / "pictures" / f"{one.index:08d}.png"), grey)
        now = Scenery.of(one.image, one.boxes)
        if before and (laid := captions(before.grey, now.grey, free_in(before, now))) is not None:
            times, covered = times + 1, covered + laid
        before = now
    free = np.full(size[::-1], 255, np.uint8)
    if times:
        often = (covered > OFTEN * times).astype(np.uint8)
        free[cv2.resize(often, size, interpolation=cv2.INTER_NEAREST) > 0] = 0
    for index, people in boxes.items():
        mask = free.copy()
        for rows, columns in inside(people, mask.shape, DILATION):
            mask[rows, columns] = 0
        cv2.imwrite(str(folder / "masks" / f"{index:08d}.png.png"), mask)
    return len(boxes)


def _match(colmap: Any, folder: Path, camera: Camera, seed: int, lens_known: bool) -> None:
    """Find features and match them, of pictures of a camera."""
    (fx, _, cx), (_, fy, cy), _ = camera.intrinsics.tolist()
    lens = [fx, fy, cx + 0.5, cy + 0.5]  # pixel centres lie at halves there
    reading = colmap.ImageReaderOptions()
    reading.mask_path = folder / "masks"
    reading.camera_model = "PINHOLE"
    if not lens_known:
        reading.camera_model, lens = "SIMPLE_PINHOLE", [fx, cx + 0.5, cy + 0.5]
    elif camera.dist is not None:
        reading.camera_model = "FULL_OPENCV"
        lens += [*camera.dist, *[0.0] * 8][:8]  # a thin prism it does not know
    reading.camera_params = ",".join(map(repr, lens))
    extraction = colmap.FeatureExtractionOptions()
    extraction.num_threads = 1  # pictures in one order, without which nothing comes out twice
    extraction.sift.max_num_features = FEATURES
    extraction.sift.first_octave = 0  # at the picture's own size: three times as fast as doubled
    pairing = colmap.SequentialPairingOptions()
    pairing.overlap = OVERLAP
    matching, verification = colmap.FeatureMatchingOptions(), colmap.TwoViewGeometryOptions()
    matching.num_threads = pairing.num_threads = 1  # likewise
    verification.ransac.random_seed = seed
    database, cpu = folder / "features.db", colmap.Device.cpu
    colmap.extract_features(
        database, folder / "pictures", camera_mode=colmap.CameraMode.SINGLE,
        reader_options=reading, extraction_options=extraction, device=cpu,
    )  # fmt: skip
    colmap.match_sequential(
        database, matching_options=matching, pairing_options=pairing,
        verification_options=verification, device=cpu,
    )  # fmt: skip


def _mapped(colmap: Any, folder: Path, seed: int, lens_known: bool = True) -> Any:
    """The largest scene that agrees with what was matched; None where nothing does."""
    found = colmap.global_mapping(
        folder / "features.db", folder / "pictures", folder, _mapper(colmap, seed, lens_known)
    )
    return max(found.values(), key=lambda model: model.num_reg_images(), default=None)


def _clear_fov(colmap: Any, model: Any) -> float | None:
    """Degrees that the camera of a scene sees across the longer side, if others fit it worse."""
    (camera,) = model.cameras.values()
    side, focal = max(camera.width, camera.height), camera.params[0]
    costs = [_cost(_adjusted(colmap, model, factor * focal)) for factor in (1.0, *OTHERS)]
    clear = min(costs[1:]) > WORSE * costs[0]
    return float(np.degrees(2 * np.arctan(side / 2 / focal))) if clear else None


def _adjusted(colmap: Any, model: Any, focal: float) -> Any:
    """A scene as it fits best with another focal length."""
    other = copy.deepcopy(model)
    (camera,) = other.cameras.values()
    camera.params = [focal, *camera.params[1:]]
    options, config = colmap.BundleAdjustmentOptions(), colmap.BundleAdjustmentConfig()
    options.refine_focal_length = options.refine_extra_params = options.print_summary = False
    options.ceres.solver_options.num_threads = 1
    for index, image in other.images.items():
        if image.has_pose:
            config.add_image(index)
    config.fix_gauge(colmap.BundleAdjustmentGauge.TWO_CAMS_FROM_WORLD)
    colmap.create_default_bundle_adjuster(options, config, other).solve()
    return other


def _cost(model: Any) -> float:
    """By how much a scene misses what was seen, outliers for one each (Geman and McClure 1987)."""
    total = 0.0
    for image in model.images.values():
        seen = [point for point in image.points2D if point.has_point3D()] if image.has_pose else []
        for point in seen:
            there = image.project_point(model.points3D[point.point3D_id].xyz)
            square = np.inf if there is None else float(((there - point.xy) ** 2).sum())
            total += 1 - 1 / (1 + square)
    return total


def _mapper(colmap: Any, seed: int, lens_known: bool) -> Any:
    """Options of the mapping: every draw has a seed."""
    options = colmap.GlobalPipelineOptions()
    options.num_threads = options.mapper.num_threads = 1  # sums in one order
    options.random_seed = options.mapper.random_seed = seed
    options.mapper.rotation_averaging.random_seed = seed
    options.mapper.global_positioning.random_seed = seed
    options.mapper.retriangulation.random_seed = seed
    options.mapper.bundle_adjustment.refine_focal_length = not lens_known
    options.mapper.bundle_adjustment.refine_extra_params = False
    return options


def _placed(model: Any, fov: float | None) -> Placed:
    images = sorted(
        (one for one in model.images.values() if one.has_pose), key=lambda one: one.name
    )
    poses = [one.cam_from_world() for one in images]
    rotation = np.stack([pose.rotation.matrix() for pose in poses])
    shift = np.stack([pose.translation for pose in poses])
    position = -(rotation.swapaxes(1, 2) @ shift[..., None])[..., 0]
    indices = np.array([int(Path(one.name).stem) for one in images])
    return Placed(indices, rotation, position, fov)
