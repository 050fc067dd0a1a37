"""Long videos: tracks cut into pieces, work kept in files, results written without holding them."""

from vid3d.streaming.following import Follower, Stored, Trace, get_piece, joined_traces
from vid3d.streaming.reel import Person, Reel, get_stretch, put_stretch
from vid3d.streaming.settled import settled_people
from vid3d.streaming.workplace import Workplace

__all__ = [
    "Follower",
    "Person",
    "Reel",
    "Stored",
    "Trace",
    "Workplace",
    "get_piece",
    "get_stretch",
    "joined_traces",
    "put_stretch",
    "settled_people",
]
