"""Identity over keyframes: who is who, when each person is present, and 2D joints not to trust."""

from vid3d.tracking.cleaning import clean
from vid3d.tracking.continuation import continuations, joined
from vid3d.tracking.presence import Segment, segments
from vid3d.tracking.tracker import Tracker, has_identities, track_people, tracker_of
from vid3d.tracking.tracks import Track, people_of, select, select_people

__all__ = [
    "Segment",
    "Track",
    "Tracker",
    "clean",
    "continuations",
    "has_identities",
    "joined",
    "people_of",
    "segments",
    "select",
    "select_people",
    "track_people",
    "tracker_of",
]
