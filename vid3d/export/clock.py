"""A motion at a constant rate, for formats whose frames carry no time of their own."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vid3d.lifter.resample import cubic, linear, turned
from vid3d.motion import Motion
from vid3d.motion_schema import SAME_FRAME, filmed_rate, first_after_cuts, runs
from vid3d.world.spline import CLOSEST


def ticks(timestamps: NDArray[np.float64], rate: float) -> NDArray[np.float64]:
    """Even times from the first timestamp to the last, `rate` a second."""
    count = int(np.floor((timestamps[-1] - timestamps[0]) * rate + 0.5)) + 1
    return timestamps[0] + np.arange(count) / rate


def is_steady(motion: Motion) -> bool:
    """Whether the frames lie at even times."""
    if motion.frames < 2:
        return True
    even = ticks(motion.timestamps, motion.fps)
    return len(even) == motion.frames and bool(
        (np.abs(even - motion.timestamps) <= SAME_FRAME / motion.fps).all()
    )


def _apart(times: NDArray[np.float64], least: float) -> NDArray[np.intp]:
    """Indices of times of which each is at least that many seconds after the one taken before."""
    taken = [0]
    for index in range(1, len(times)):
        if times[index] - times[taken[-1]] >= least:
            taken.append(index)
    return np.array(taken)


def _in_shots(motion: Motion, times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Times, those between the last frame before a cut and the first after it at the nearer one.

    Each shot has a camera of its own: there is none half way between two.
    """
    times = times.copy()
    for first in first_after_cuts(motion):
        before, after = motion.timestamps[first - 1 : first + 1]
        between = (times > before) & (times < after)
        times[between] = np.where(times[between] - before <= after - times[between], before, after)
    return times


def _zooms(motion: Motion, times: NDArray[np.float64]) -> NDArray[np.float32]:
    """The camera's zoom (F,) at times."""
    logarithms = np.log(motion.camera_zoom, dtype=np.float64)
    return np.exp(np.interp(times, motion.timestamps, logarithms)).astype(np.float32)


def steady(motion: Motion) -> Motion:
    """The motion at a constant rate (`filmed_rate`); itself if its frames lie at even times.

    Within each span that a person is present in, joints are read from a cubic spline, spread and
    contacts by linear interpolation; nothing is invented in between. Frames nearer to the one
    before than `CLOSEST` of the mean gap are left out: no curve goes through places that differ by
    millimetres a few microseconds apart without swinging metres out. Cameras are not blended across
    cuts. Looks (`keyframes`, `keypoints2d`) are left out: pictures exist at true times only.
    """
    if is_steady(motion):
        return motion
    rate = filmed_rate(motion.timestamps, motion.fps)
    times = ticks(motion.timestamps, rate)
    arrays: dict[str, Any] = {
        name: np.full((motion.people, len(times), *getattr(motion, name).shape[2:]), np.nan)
        for name in ("joints3d", "spread", "root_spread", "contacts")
    }
    present = np.zeros((motion.people, len(times)), bool)
    least, margin = CLOSEST / rate, SAME_FRAME / rate
    for person in range(motion.people):
        for start, stop in runs(motion.present[person]):
            run = slice(start, stop)
            inside = motion.timestamps[run]
            at = np.flatnonzero((times >= inside[0] - margin) & (times <= inside[-1] + margin))
            if not len(at):  # present between two ticks
                at = np.array([np.abs(times - inside[0]).argmin()])
            present[person, at] = True
            within, taken = times[at].clip(inside[0], inside[-1]), _apart(inside, least)
            for name, array in arrays.items():
                read = cubic if name == "joints3d" else linear
                values = getattr(motion, name)[person, run][taken]
                array[person, at] = read(values, inside[taken], within)
    filmed = _in_shots(motion, times)
    return replace(
        motion,
        **arrays,
        present=present,
        timestamps=times,
        camera_rotation=turned(motion.camera_rotation, motion.timestamps, filmed),
        camera_position=linear(motion.camera_position, motion.timestamps, filmed),
        camera_zoom=_zooms(motion, filmed),
        keyframes=np.empty(0, np.int64),
        keypoints2d=np.empty((motion.people, 0, 17, 3), np.float32),
        meta={**motion.meta, "fps": rate},
    )
