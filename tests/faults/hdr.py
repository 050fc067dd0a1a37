"""Pictures as HDR video: BT.2020 colours with the PQ or the HLG transfer (ITU-R BT.2100)."""

from pathlib import Path
from typing import Any

import av
import numpy as np

from faults.clips import encode, pictures

WHITE = 203.0
"""Nits of white in graphics (ITU-R BT.2408)."""
TRANSFERS = {"pq": 16, "hlg": 18}
"""Codes of ITU-T H.273."""
_BT709_TO_2020 = np.array(
    [[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]]
)  # ITU-R BT.2087


def graded(path: Path, transfer: str) -> Path:
    """The tiny clip as 10-bit HDR, tagged as such."""

    def tags(context: Any) -> None:
        context.color_primaries, context.color_trc = 9, TRANSFERS[transfer]
        context.colorspace, context.color_range = 9, 1

    frames = [_frame(image, transfer) for image in pictures()]
    return encode(path, frames, "libx265", "yuv420p10le", tags=tags)


def _frame(image: Any, transfer: str) -> Any:
    light = (image[..., ::-1] / 255.0) ** 2.4 @ _BT709_TO_2020.T
    red, green, blue = np.moveaxis(_pq(light) if transfer == "pq" else _hlg(light), -1, 0)
    luma = 0.2627 * red + 0.6780 * green + 0.0593 * blue
    planes = [64 + 876 * luma] + [
        512 + 896 * ((part - luma) / scale)[::2, ::2]
        for part, scale in ((blue, 1.8814), (red, 1.4746))
    ]
    frame = av.VideoFrame(image.shape[1], image.shape[0], "yuv420p10le")
    for plane, values in zip(frame.planes, planes, strict=True):
        rows = np.zeros((plane.height, plane.line_size // 2), "<u2")
        height, width = values.shape
        rows[:height, :width] = np.clip(np.round(values), 0, 1023)
        plane.update(rows.tobytes())
    return frame


def _pq(light: Any) -> Any:
    power = np.clip(light * WHITE / 10_000, 0, 1) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375


def _hlg(light: Any) -> Any:
    """White at 75 % of the signal."""
    scene = np.clip(light * 0.265, 0, 1)
    high = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), high)
