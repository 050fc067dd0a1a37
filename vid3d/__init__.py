"""vid3d: 3D human motion from an ordinary video.

The names below are the public API; they are loaded when first used, so that importing vid3d is
quick.
"""

import importlib
import os
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# onnxruntime reports home from its import on; whoever wants that can say so.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

_HOMES = {
    "Camera": "vid3d.camera",
    "Lifted": "vid3d.lifter",
    "Lifter": "vid3d.lifter",
    "Motion": "vid3d.motion",
    "Vid3dError": "vid3d.errors",
    "lift": "vid3d.pipeline",
}

__all__ = ["Camera", "Lifted", "Lifter", "Motion", "Vid3dError", "__version__", "lift"]

if TYPE_CHECKING:
    from vid3d.camera import Camera
    from vid3d.errors import Vid3dError
    from vid3d.lifter import Lifted, Lifter
    from vid3d.motion import Motion
    from vid3d.pipeline import lift


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'vid3d' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
