"""AMASS: an .npz a motion with poses (F, 156) and betas of SMPL-H, trans (F, 3), z up, metres.

The body model is licensed by itself, so users bring it (`BodyModel`).
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from vid3d.data.mocap import MotionClip
from vid3d.data.readers.arrays import names_in, read_array
from vid3d.data.readers.clips import make_clip
from vid3d.data.readers.reading import DataSet, Reading, files_below, with_suffix
from vid3d.data.readers.skeletons import to_h36m17
from vid3d.data.readers.smpl import BODY, JOINTS, BodyModel
from vid3d.errors import Vid3dError

_ORIGIN = "register at amass.is.tue.mpg.de and fetch the SMPL+H G parts"
_MODEL = (
    "give the extended SMPL+H model of mano.is.tue.mpg.de with --body-model: a model.npz, or a "
    "folder with one in each of male, female, neutral"
)


def motions(path: Path, reading: Reading) -> Iterator[MotionClip]:
    """All motions of a folder and below.

    Raises:
        Vid3dError: no body model, no motion, or a file that is not of this kind.
    """
    if reading.body_model is None:
        raise Vid3dError(f"AMASS holds poses, not joints: {_MODEL}")
    models: dict[str, BodyModel] = {}
    found = False
    for name, file in files_below(path, ".npz", _ORIGIN):
        if not reading.wants(name) or file.stem == "shape" or file.stem.endswith("_stagei"):
            continue  # bodies, no motions
        found = True
        poses, betas, trans, gender, fps = _read(file)
        if gender not in models:
            models[gender] = BodyModel.load(_model_file(reading.body_model, gender))
        joints = to_h36m17(models[gender].skeleton(poses, betas, trans), JOINTS)
        actor = "/".join(name.split("/")[:-1]) or name
        yield make_clip(name, actor, file.stem.removesuffix("_poses"), joints, reading.fps or fps)
    if not found:
        raise Vid3dError(f"{path} has nothing whose name begins with {', '.join(reading.only)}")


def _read(file: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, str, float]:
    """Poses, shape, translation, gender and rate of a motion."""
    try:
        poses, trans, betas = (
            read_array(file, name).astype(np.float64) for name in ("poses", "trans", "betas")
        )
        names = names_in(file)
        rate = "mocap_framerate" if "mocap_framerate" in names else "mocap_frame_rate"
        fps = float(read_array(file, rate))
        gender = read_array(file, "gender").item() if "gender" in names else "neutral"
    except OSError as error:
        raise Vid3dError(f"cannot read {file}: {error.strerror or error}") from error
    except ValueError as error:
        raise Vid3dError(f"{file} is not a motion of AMASS ({error}); {_ORIGIN}") from error
    if poses.ndim != 2 or poses.shape[1] < 3 * BODY or trans.shape != (len(poses), 3):
        raise Vid3dError(f"{file} has poses {poses.shape} and trans {trans.shape}; {_ORIGIN}")
    if not (np.isfinite(poses).all() and np.isfinite(trans).all() and np.isfinite(betas).all()):
        raise Vid3dError(f"{file} holds numbers that are not finite; leave it out with --only")
    text = gender.decode("ascii", "replace") if isinstance(gender, bytes) else str(gender)
    return poses, betas.ravel(), trans, text.lower(), fps


def _model_file(given: Path, gender: str) -> Path:
    """The model for a gender: the file itself, or the folder's, or the folder's neutral one."""
    if given.is_file():
        return given
    for kind in (gender, "neutral"):
        file = given / kind / "model.npz"
        if kind in ("male", "female", "neutral") and file.is_file():
            return file
    raise Vid3dError(f"there is no {gender}/model.npz in {given}; {_MODEL}")


def _holds(path: Path) -> bool:
    """Whether the path is a motion, or a folder that holds one."""
    files = path.rglob("*") if path.is_dir() else [path]
    for file in sorted(with_suffix(files, ".npz"))[:3]:
        try:
            if {"poses", "trans"} <= {*names_in(file)} or file.stem == "shape":
                return True
        except (OSError, ValueError):
            continue
    return False


AMASS = DataSet(
    name="amass",
    title="AMASS (SMPL-H)",
    holds=_holds,
    origin=_ORIGIN,
    motions=motions,
    reads=("body_model", "fps"),
)
