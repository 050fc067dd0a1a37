"""Numbers for the page: whole multiples of a unit, differences over time, deflate, base64.

Motion is smooth, so differences of differences over time are small numbers: five people for ten
minutes take a few megabytes. `viewer/src/data.ts` holds the reader.
"""

import base64
import zlib
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

UNKNOWN = -(2**31)
"""Stands for NaN."""


def encode(values: ArrayLike, unit: float) -> dict[str, Any]:
    """A block for the page's JSON.

    Values become int32 multiples of `unit`. Of each column, the first or second difference over
    rows (from zero, modulo 2^32; whichever packs better) is zigzag-coded; the four bytes of all of
    them, column by column, follow as four planes, lowest byte first, as one zlib stream.

    Args:
        values: (N, C), NaN where not known; farther from zero than 2^30 units is cut off.
        unit: what one step is worth.
    """
    numbers = np.asarray(values, np.float64)
    steps = np.clip(np.nan_to_num(np.round(numbers / unit)), -(2**30), 2**30)
    whole = np.where(np.isnan(numbers), UNKNOWN, steps).astype(np.int64).astype(np.uint32)
    packed = {order: _pack(whole, order) for order in (1, 2)}
    order = min(packed, key=lambda order: len(packed[order]))
    rows, columns = whole.shape
    data = base64.b64encode(packed[order]).decode()
    return {"rows": rows, "columns": columns, "unit": unit, "order": order, "data": data}


def decode(block: dict[str, Any]) -> NDArray[np.float64]:
    """The values (N, C) of a block, rounded to its unit."""
    planes = np.frombuffer(zlib.decompress(base64.b64decode(block["data"])), np.uint8)
    bytes4 = planes.reshape(4, block["columns"], block["rows"]).astype(np.uint32)
    zigzag = bytes4[0] | bytes4[1] << 8 | bytes4[2] << 16 | bytes4[3] << 24
    whole = (zigzag >> 1) ^ (0 - (zigzag & 1)).astype(np.uint32)
    for _ in range(block["order"]):
        whole = whole.cumsum(1, dtype=np.uint32)
    signed = whole.T.view(np.int32)
    return np.where(signed == UNKNOWN, np.nan, signed * block["unit"])


def _pack(whole: NDArray[np.uint32], order: int) -> bytes:
    """Differences over rows of (N, C) as bytes, compressed."""
    padded = np.concatenate([np.zeros((order, whole.shape[1]), np.uint32), whole])
    change = np.diff(padded, order, axis=0).T.astype(np.int32)  # unsigned: wraps as readers do
    zigzag = np.ascontiguousarray((change << 1) ^ (change >> 31)).view(np.uint32)
    planes = np.stack([(zigzag >> shift).astype(np.uint8) for shift in (0, 8, 16, 24)])
    runs = zlib.compressobj(strategy=zlib.Z_RLE)  # smaller here than the default, and faster
    return runs.compress(planes.tobytes()) + runs.flush()
