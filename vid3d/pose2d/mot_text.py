"""Boxes with identities as MOTChallenge text, which every tracking tool reads."""

from vid3d.pose2d.people import KeypointClip


def mot_from_clip(clip: KeypointClip) -> str:
    """The people of a clip, one a line: frame, id, left, top, width, height, score, -1, -1, -1.

    Frames and pixels count from 1 (Milan et al. 2016, MOT16, section 3.3); frames are those of the
    video, so that a file of keyframes has gaps, and one of a part of it begins where that does
    (by its time at the mean rate). People without an identity get -1.
    """
    lines = []
    first = 1 + _before(clip)
    for look in clip.looks:
        people = look.people
        ids = [-1] * len(people) if people.ids is None else people.ids.tolist()
        for number, box, score in zip(ids, people.boxes.tolist(), people.scores, strict=True):
            left, top, right, bottom = box
            corner = f"{left + 1:.2f},{top + 1:.2f},{right - left:.2f},{bottom - top:.2f}"
            lines.append(f"{look.frame + first},{number},{corner},{score:.4f},-1,-1,-1\n")
    return "".join(lines)


def _before(clip: KeypointClip) -> int:
    """Frames of the video before the clip's first."""
    if not clip.looks or clip.rate is None:
        return 0
    return max(0, round(clip.looks[0].time * clip.rate) - clip.looks[0].frame)
