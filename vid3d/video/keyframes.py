"""Which frames are looked at: every s-th, and always the first and the last."""

from collections.abc import Iterable, Iterator

from vid3d.errors import Vid3dError
from vid3d.video.frame import Frame


def default_stride(fps: float) -> int:
    """Frames from one look to the next: five looks a second."""
    return max(1, round(fps / 5))


def looks(frames: Iterable[Frame], stride: int) -> Iterator[tuple[Frame, bool]]:
    """Every frame once, with whether it is looked at (a keyframe).

    Frames come one behind the input, since only its end tells which frame is the last.

    Args:
        frames: frames in order.
        stride: look at every stride-th frame, the first and the last.

    Raises:
        Vid3dError: the stride is not positive.
    """
    if stride < 1:
        raise Vid3dError(f"stride is {stride}; expected a whole number from 1 (or auto)")
    waiting: Frame | None = None
    position = -1
    for position, frame in enumerate(frames):
        if waiting is not None:
            yield waiting, (position - 1) % stride == 0
        waiting = frame
    if waiting is not None:
        yield waiting, True
