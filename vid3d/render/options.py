"""What a video of a motion shows, and how."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from vid3d.errors import Vid3dError
from vid3d.given import real_number, truth, unfit, whole_number, words

Layout = Literal["side", "inset", "overlay", "view"]
Colors = Literal["person", "side"]


@dataclass(frozen=True)
class RenderOptions:
    """Choices of `render_overlay` and `render_motion`.

    Attributes:
        layout: `side`: the picture and the 3D view beside it; `inset`: the view in that corner of
            the picture where people are least; `overlay`: the picture alone; `view`: the view.
        colors: `person`: a colour each, left limbs lighter and right limbs darker; `side`: left
            limbs blue, right limbs orange, the trunk in the person's colour.
        names: what a person is called instead of the number, by track id.
        labels: whether people are named in the picture.
        fade: whether limbs turn grey and translucent as the spread of their far joint grows.
        dashed: whether skeletons are dashed on frames that were not looked at.
        uncertainty: whether the spread of each joint is drawn as a translucent blob.
        keypoints: whether detected 2D keypoints are dotted on frames that were looked at.
        trails: seconds of each person's way shown on the floor; 0 for none.
        turn: seconds in which the 3D view goes once round the people; 0 for a fixed view.
        azimuth: degrees by which the 3D view is moved round the people to the right of the real
            camera; None chooses (fixed view), or begins there (turning view).
        elevation: degrees by which it looks down.
        height: pixels of the picture's height; None for the video's own. Beside a view it is then
            480 to 1080, so that words can be read and 4K clips stay quick.
        fps: frames per second of the output; None for the video's.
        audio: whether the video's sound is kept.
    """

    layout: Layout = "side"
    colors: Colors = "person"
    names: Mapping[int, str] = field(default_factory=dict)
    labels: bool = True
    fade: bool = True
    dashed: bool = False
    uncertainty: bool = False
    keypoints: bool = True
    trails: float = 2.0
    turn: float = 0.0
    azimuth: float | None = None
    elevation: float = 18.0
    height: int | None = None
    fps: float | None = None
    audio: bool = True

    def __post_init__(self) -> None:
        for name, value, known in (
            ("layout", self.layout, get_args(Layout)),
            ("colors", self.colors, get_args(Colors)),
        ):
            if value not in known:
                raise Vid3dError(f"{name} is {value!r}; give {', '.join(known)}")
        for name, low, high in (
            ("trails", 0, 1e6),
            ("turn", 0, 1e6),
            ("azimuth", -1e6, 1e6),
            ("elevation", -10, 90),
            ("height", 16, 8192),
            ("fps", 0.1, 1000),
        ):
            if (given := getattr(self, name)) is None and name in ("azimuth", "height", "fps"):
                continue
            number = real_number(name, given)
            if not low <= number <= high:
                raise Vid3dError(f"{name} is {given}; give {low:g} to {high:g}")
        if self.height is not None:
            whole_number("height", self.height)
        for name in ("labels", "fade", "dashed", "uncertainty", "keypoints", "audio"):
            truth(name, getattr(self, name))
        if not isinstance(self.names, Mapping):
            raise unfit("names", self.names, "a table of names by track id")
        for number, name in self.names.items():
            whole_number("a track id of names", number)
            words(f"name of {number}", name)

    def called(self, track_id: int) -> str | None:
        """The name given to a person, or None."""
        return self.names.get(int(track_id))
