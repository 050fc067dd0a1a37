"""SMPL-H: joints from pose and shape, without the mesh.

Loper et al., SMPL (2015), equations 8-10; Romero et al., Embodied Hands (2017). Joints do not
need skinning: rest joints follow the shape through the regressor, then forward kinematics.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vid3d.data.readers.arrays import read_array
from vid3d.data.readers.skeletons import Skeleton
from vid3d.errors import Vid3dError

Array = NDArray[np.floating]

NAMES = (
    "pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2", "left_ankle",
    "right_ankle", "spine3", "left_foot", "right_foot", "neck", "left_collar", "right_collar",
    "head", "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist",
    "right_wrist", "left_hand", "right_hand",
)  # fmt: skip
PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)
BODY = 22
"""Joints before the hands: the same in SMPL and SMPL-H."""
JOINTS = {
    "thorax": "neck",
    "head": "head",
    **{
        f"{side}_{joint}": f"{side}_{joint}"
        for side in ("left", "right")
        for joint in ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")
    },
}
"""Joints of h36m17 by SMPL's names, as `skeletons.to_h36m17` takes them."""


@dataclass(frozen=True)
class BodyModel:
    """What joints need of a body model.

    Attributes:
        rest: (22, 3) joints of the mean shape, metres, y up.
        shape: (22, 3, S) their change with each shape coefficient.
    """

    rest: Array
    shape: Array

    @classmethod
    def load(cls, path: Path) -> "BodyModel":
        """From a model.npz of SMPL-H.

        Raises:
            Vid3dError: no such file, or not of this kind.
        """
        try:
            regressor = read_array(path, "J_regressor")[:BODY]
            parents = read_array(path, "kintree_table")[0, 1:BODY].astype(np.int64)
            rest = regressor @ read_array(path, "v_template")
            shape = np.einsum("jv,vcs->jcs", regressor, read_array(path, "shapedirs"))
        except OSError as error:
            raise Vid3dError(f"cannot read body model {path}: {error.strerror or error}") from error
        except (ValueError, IndexError) as error:
            raise Vid3dError(
                f"{path} is not a model.npz of SMPL-H ({error}); fetch the extended SMPL+H model, "
                "16 shapes, from mano.is.tue.mpg.de"
            ) from error
        if rest.shape != (BODY, 3) or tuple(parents) != PARENTS[1:BODY]:
            raise Vid3dError(f"{path} has other joints than SMPL-H's body; give an SMPL-H model")
        return cls(rest.astype(np.float64), shape.astype(np.float64))

    def skeleton(self, poses: Array, betas: Array, trans: Array) -> Skeleton:
        """The moving body (22 joints), metres.

        Args:
            poses: (F, 66 or more) rotations relative to the parents, axis times angle.
            betas: (S,) shape; as many as both sides know are used.
            trans: (F, 3) translation.
        """
        from scipy.spatial.transform import Rotation

        known = min(len(betas), self.shape.shape[-1])
        rest = self.rest + self.shape[..., :known] @ betas[:known]
        turns = Rotation.from_rotvec(poses[:, : 3 * BODY].reshape(-1, 3)).as_matrix()
        turns = turns.reshape(len(poses), BODY, 3, 3)
        places = np.zeros((len(poses), BODY, 3))
        places[:, 0] = rest[0] + trans
        for joint in range(1, BODY):
            above = PARENTS[joint]
            bone = rest[joint] - rest[above]
            places[:, joint] = places[:, above] + turns[:, above] @ bone
            turns[:, joint] = turns[:, above] @ turns[:, joint]
        return Skeleton(NAMES[:BODY], PARENTS[:BODY], places)
