"""Writing H.264 video that plays in a browser, with true timestamps."""

import os
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
import numpy as np

from vid3d.errors import Vid3dError
from vid3d.files import atomic_path
from vid3d.video.frame import Image, Size
from vid3d.video.planes import Coding

TIME_BASE = Fraction(1, 90_000)
"""Divides the frame periods of 24, 25, 30, 50, 60 and n * 1000 / 1001 frames per second."""
QUALITY = {"preset": "ultrafast", "qp": "23", "bf": "0", "x264-params": "cabac=1:deblock=0,0"}
"""The fastest preset, and those of its omissions that cost more quality than time.

A constant quantiser spares the encoder its look at how complex each frame is, a fifth of its time.
Without B-frames decoding times equal presentation times, so that variable rates end in time."""

LONGEST_SIDE = 16_384
"""Pixels of the longest side of a picture that the encoder takes."""

SUFFIXES = (".mp4", ".m4v")
"""Of names that say what is written; players that go by another one's would not play it."""


def check_film(path: Path) -> None:
    """Refuse names of anything but an MP4, before anything long begins.

    Raises:
        Vid3dError: another suffix, or none.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise Vid3dError(
            f"{path} is not the name of an MP4, which is what is written; "
            "give one that ends in .mp4 with -o"
        )


class VideoWriter:
    """An MP4 of H.264 in yuv420p with its index in front; a context manager.

    The file appears when the `with` block ends well and not at all when it raises. Odd sizes are
    padded by one row or column at the bottom or right, which yuv420p needs.

    Args:
        path: file to write; its folder is made.
        fps: nominal frame rate: the default time of frames and the duration of the last one.
        size: width and height of the images.
        coding: of the colours in the file.

    Raises:
        Vid3dError: the output cannot be written, or an image has another size.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        fps: float,
        size: Size,
        coding: Coding | None = None,
    ):
        if min(size) < 1 or fps <= 0:
            raise Vid3dError(f"cannot write {path}: size {size} at {fps} frames per second")
        self.path = Path(path)
        self.size = size
        self.coding = coding or Coding()
        self._period = max(1, round(1 / fps / TIME_BASE))
        self._next = 0
        self._odd = (size[1] % 2, size[0] % 2)
        self._stack = ExitStack()

    def __enter__(self) -> "VideoWriter":
        with ExitStack() as stack:
            temporary = stack.enter_context(atomic_path(self.path))
            self._container = stack.enter_context(
                av.open(f"file:{temporary}", "w", format="mp4", options={"movflags": "+faststart"})
            )
            rate = Fraction(1 / (self._period * TIME_BASE))
            self._stream = self._container.add_stream("libx264", rate=rate, options=QUALITY)
            self._stream.width = self.size[0] + self._odd[1]
            self._stream.height = self.size[1] + self._odd[0]
            self._stream.pix_fmt = "yuv420p"
            self._stream.time_base = TIME_BASE
            context = self._stream.codec_context
            context.time_base = TIME_BASE
            context.thread_type = "SLICE"  # less work in all than threads on frames of their own
            context.color_range, context.colorspace = self.coding.range, self.coding.matrix
            context.color_primaries = self.coding.primaries
            context.color_trc = self.coding.transfer
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        try:
            if error is None:
                self._container.mux(self._stream.encode())
        except av.FFmpegError as failure:
            self._stack.__exit__(type(failure), failure, failure.__traceback__)
            raise self._failed(failure) from failure
        return self._stack.__exit__(kind, error, trace)

    def write(self, image: Image, time: float | None = None) -> None:
        """Add a frame.

        Args:
            image: uint8 (H, W, 3) BGR of the writer's size.
            time: seconds; None for one period after the last frame. Times that do not rise by
                at least 1/90000 s are moved to do so.
        """
        if image.shape != (self.size[1], self.size[0], 3):
            raise Vid3dError(f"{self.path} is {self.size} pixels, a frame has {image.shape}")
        if any(self._odd):
            bottom, right = self._odd
            image = np.pad(image, ((0, bottom), (0, right), (0, 0)), mode="edge")
        wrapped = av.VideoFrame.from_numpy_buffer(np.ascontiguousarray(image), format="bgr24")
        self.write_frame(self.coding.convert(wrapped), time)

    def write_frame(self, frame: av.VideoFrame, time: float | None = None) -> None:
        """Add a frame in yuv420p of the writer's size, padded to even, and coding; see `write`."""
        stamp = self._next if time is None else round(time / TIME_BASE)
        frame.pts = max(stamp, self._earliest)
        frame.time_base = TIME_BASE
        frame.duration = self._period
        self._earliest, self._next = frame.pts + 1, frame.pts + self._period
        try:
            self._container.mux(self._stream.encode(frame))
        except av.FFmpegError as failure:
            raise self._failed(failure) from failure

    _earliest = 0

    def _failed(self, failure: av.FFmpegError) -> Vid3dError:
        return Vid3dError(
            f"cannot write {self.path}: {failure.strerror}; check space and permissions"
        )
