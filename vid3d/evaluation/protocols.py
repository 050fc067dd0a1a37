"""Protocols by name: which joints are scored, and which figures a table shows."""

from dataclasses import dataclass

from vid3d.errors import Vid3dError
from vid3d.evaluation.metrics import SCORED
from vid3d.skeleton import H36M17


@dataclass(frozen=True)
class Protocol:
    """What is scored.

    Attributes:
        joints: indices into h36m17; poses are relative to the pelvis in any case.
        figures: of `Scores`, in the order of the table's columns.
        title: what it is, in a line.
    """

    joints: tuple[int, ...]
    figures: tuple[str, ...]
    title: str


_ALL = tuple(range(17))
_SHAPE = ("symmetry_gap", "bone_std")
_LSP14 = tuple(H36M17.indices([j for j in H36M17.joints if j not in ("pelvis", "spine", "nose")]))

PROTOCOLS = {
    "vid3d": Protocol(
        tuple(SCORED),
        ("mpjpe", "p_mpjpe", "n_mpjpe", "pck", "auc", "mrpe", "reprojection", "velocity",
         "acceleration", *_SHAPE, "inside1", "inside2"),
        "15 joints, without nose and head",
    ),
    "h36m-p1": Protocol(
        _ALL, ("mpjpe", "n_mpjpe", "velocity", *_SHAPE), "Human3.6M protocol 1: 17 joints, MPJPE"
    ),
    "h36m-p2": Protocol(
        _ALL, ("p_mpjpe", *_SHAPE), "Human3.6M protocol 2: 17 joints, P-MPJPE"
    ),
    "3dhp": Protocol(
        _ALL, ("pck", "auc", "mpjpe", "p_mpjpe"), "MPI-INF-3DHP: 17 joints, PCK@150, AUC, MPJPE"
    ),
    "3dpw": Protocol(
        _LSP14,
        ("mpjpe", "p_mpjpe", "acceleration"),
        "3DPW: the 14 joints of LSP (thorax for the neck), relative to the pelvis",
    ),
}  # fmt: skip


def find_protocol(name: str) -> Protocol:
    """The protocol called `name`.

    Raises:
        Vid3dError: there is none of that name.
    """
    if name not in PROTOCOLS:
        raise Vid3dError(f"protocol is {name!r}, expected one of {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]
