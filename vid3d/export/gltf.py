"""A GLB container: arrays become accessors of one binary buffer, the scene is plain JSON.

Specification: Khronos glTF 2.0, sections 3.6 (binary data) and 4 (GLB).
"""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vid3d.files import atomic_path

VERTICES, INDICES = 34962, 34963
_COMPONENTS = {np.dtype(np.float32): 5126, np.dtype(np.uint16): 5123, np.dtype(np.uint8): 5121}
_TYPES = {(): "SCALAR", (3,): "VEC3", (4,): "VEC4", (4, 4): "MAT4"}


class Document:
    """A glTF document under construction.

    Attributes:
        content: the JSON, lists of nodes, meshes and the like.
    """

    def __init__(self, asset: dict[str, Any]) -> None:
        self.content: dict[str, Any] = {"asset": {"version": "2.0", **asset}}
        self._chunks: list[bytes] = []
        self._size = 0

    def add(self, kind: str, item: dict[str, Any]) -> int:
        """Append to the list called `kind`; returns the item's index."""
        items = self.content.setdefault(kind, [])
        items.append(item)
        return len(items) - 1

    def array(self, values: ArrayLike, dtype: type = np.float32, target: int | None = None) -> int:
        """Store an array (N, ...) and return its accessor; matrices are (N, 4, 4), row by row."""
        array: NDArray[Any] = np.asarray(values, dtype)
        stored = np.swapaxes(array, 1, 2) if array.ndim == 3 else array
        chunk = np.ascontiguousarray(stored).tobytes()
        view = {"buffer": 0, "byteOffset": self._size, "byteLength": len(chunk)}
        accessor = {
            "bufferView": self.add("bufferViews", view if target is None
                                   else {**view, "target": target}),
            "componentType": _COMPONENTS[array.dtype],
            "count": len(array),
            "type": _TYPES[array.shape[1:]],
        }  # fmt: skip
        if array.ndim < 3 and array.dtype == np.float32:
            flat = array.reshape(len(array), -1)
            accessor |= {"min": flat.min(0).tolist(), "max": flat.max(0).tolist()}
        self._chunks.append(chunk + bytes(-len(chunk) % 4))
        self._size += len(self._chunks[-1])
        return self.add("accessors", accessor)

    def save(self, path: Path) -> Path:
        """Write the GLB."""
        if self._size:
            self.content["buffers"] = [{"byteLength": self._size}]
        text = json.dumps(self.content, separators=(",", ":"), allow_nan=False).encode()
        text += b" " * (-len(text) % 4)
        with atomic_path(path) as temporary, open(temporary, "wb") as file:
            length = 12 + 8 + len(text) + (8 + self._size if self._size else 0)
            file.write(struct.pack("<4sII", b"glTF", 2, length))
            file.write(struct.pack("<I4s", len(text), b"JSON") + text)
            if self._size:
                file.write(struct.pack("<I4s", self._size, b"BIN\0"))
                file.writelines(self._chunks)
        return path
