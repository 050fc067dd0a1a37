"""What a decoder can do without: the parts that compressed pictures play for each other.

Pictures that no other picture refers to need not be decoded to decode the others. H.264 and HEVC
say so in the headers of their units (ITU-T H.264 7.4.1 `nal_ref_idc`, H.265 7.4.2.2), which are
read here without decoding anything; in codecs of single pictures each stands for itself.
"""

from collections.abc import Callable, Iterator
from enum import Enum
from typing import Any


class Part(Enum):
    """What a picture is to those that follow it in the file."""

    SYNC = "nothing that follows refers to anything before it"
    REFERENCE = "others refer to it, or may"
    DISPOSABLE = "no other picture refers to it"
    NEEDED = "it brings parameters that others are decoded with"


class DamagedError(Exception):
    """A packet is not what its codec says packets are."""


def part_reader(context: Any) -> Callable[[Any], Part] | None:
    """A function from packets of a codec context to their parts; None where nobody can tell.

    The function raises `DamagedError` for packets that are not made of whole units.
    """
    if context.codec.intra_only:
        return lambda packet: Part.SYNC if packet.is_keyframe else Part.REFERENCE
    if context.name not in ("h264", "hevc"):
        return None
    header = bytes(context.extradata or b"")
    prefix = _prefix_bytes(context.name, header)
    if context.name == "h264":
        return lambda packet: _h264(list(_units(packet, prefix)))
    if not prefix:
        return None
    layers = header[21] >> 3 & 7  # numTemporalLayers of ISO 14496-15, 8.3.3.1.2
    return lambda packet: _hevc(list(_units(packet, prefix)), layers)


def _prefix_bytes(codec: str, header: bytes) -> int:
    """Bytes of the length before each unit (ISO 14496-15), 0 for start codes (Annex B)."""
    place = {"h264": 4, "hevc": 21}[codec]
    return (header[place] & 3) + 1 if len(header) > place and header[0] == 1 else 0


def _units(packet: Any, prefix: int) -> Iterator[bytes]:
    """The first two bytes of every unit of a packet."""
    data = bytes(packet)
    at, found = 0, False
    while at < len(data):
        if prefix:
            size = int.from_bytes(data[at : at + prefix], "big")
            start, at = at + prefix, at + prefix + size
        else:
            start = data.find(b"\0\0\1", at) + 3
            if start < 3:
                break
            at = start
        if start + 2 > len(data) or at > len(data):
            raise DamagedError
        found = True
        yield data[start : start + 2]
    if not found:
        raise DamagedError


def _h264(units: list[bytes]) -> Part:
    """The part of an H.264 picture by its units (nal_unit_type, table 7-1)."""
    types = [unit[0] & 31 for unit in units]
    slices = [unit[0] >> 5 & 3 for unit, kind in zip(units, types, strict=True) if 1 <= kind <= 5]
    if not slices or any(unit[0] & 128 for unit in units):
        raise DamagedError
    if any(kind in (7, 8, 13, 15) for kind in types):  # parameter sets
        return Part.NEEDED
    if not any(slices):
        return Part.DISPOSABLE
    whole = all(kind == 5 for kind in types if 1 <= kind <= 5)
    return Part.SYNC if whole else Part.REFERENCE


def _hevc(units: list[bytes], layers: int) -> Part:
    """The part of an HEVC picture by its units (nal_unit_type, table 7-1)."""
    types = [unit[0] >> 1 & 63 for unit in units]
    slices = [kind for kind in types if kind < 32]
    if not slices or any(unit[0] & 128 for unit in units):
        raise DamagedError
    if any(kind in (32, 33, 34) for kind in types):  # parameter sets
        return Part.NEEDED
    layer = next(unit[1] & 7 for unit in units if unit[0] >> 1 & 63 < 32) - 1
    # sub-layer non-reference pictures serve higher sub-layers; none is above the highest
    if all(kind < 16 and kind % 2 == 0 for kind in slices) and layer + 1 == max(layers, 1):
        return Part.DISPOSABLE
    return Part.SYNC if all(16 <= kind <= 20 for kind in slices) else Part.REFERENCE
