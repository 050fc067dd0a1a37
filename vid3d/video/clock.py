"""Presentation stamps of a container turned into strictly rising seconds."""

from fractions import Fraction


class Clock:
    """Seconds since the first frame, strictly rising whatever the file's stamps do.

    Frames without a stamp follow at the nominal rate; a stamp that repeats or steps back a little
    comes a millisecond after its predecessor; after a jump back by more than a second (joined
    recordings) or ahead by more than ten minutes (damage) time goes on at the nominal rate.

    Args:
        step: nominal seconds between frames.

    Attributes:
        last: seconds of the last frame read, or None.
        origins: seconds and stamp of the first frame, and of each after a jump.
    """

    TICK = 1e-3
    JUMP_BACK = 1.0
    JUMP_AHEAD = 600.0

    def __init__(self, step: float):
        self.step = step
        self.last: float | None = None
        self.origins: tuple[tuple[float, Fraction], ...] = ()
        self._zero: Fraction | None = None

    def read(self, stamp: Fraction | None) -> float:
        """Seconds of the next frame, given its stamp in seconds or None."""
        expected = 0.0 if self.last is None else self.last + self.step
        time = expected
        if stamp is not None:
            if self._zero is None:
                self._zero = self._begin(expected, stamp)
            time = float(stamp - self._zero)
            if self.last is not None:
                if not -self.JUMP_BACK <= time - self.last <= self.JUMP_AHEAD:
                    self._zero, time = self._begin(expected, stamp), expected
                if time <= self.last:
                    time = self.last + self.TICK
        self.last = time
        return time

    def _begin(self, time: float, stamp: Fraction) -> Fraction:
        """The stamp of time zero, given a frame from which on others are counted."""
        self.origins += ((time, stamp),)
        return stamp - Fraction(time)

    def stamp_at(self, time: float) -> Fraction | None:
        """The stamp of a time, or None where the file has no stamps."""
        return None if self._zero is None else self._zero + Fraction(time)
