"""Videos that tests make."""

import struct
from fractions import Fraction

import av
import numpy as np

RED, GREY = (0, 0, 255), (90, 90, 90)

# clockwise degrees and mirroring -> (a, b, c, d), and where the red corner ends (row, column)
TURNS = {
    "0": ((1, 0, 0, 1), (0, 0)),
    "90": ((0, 1, -1, 0), (0, -1)),
    "180": ((-1, 0, 0, -1), (-1, -1)),
    "270": ((0, -1, 1, 0), (-1, 0)),
    "mirrored": ((-1, 0, 0, 1), (0, -1)),
}


def picture(size, number=0):
    """Grey with a red top left corner; the bottom right corner tells frames apart."""
    width, height = size
    image = np.full((height, width, 3), GREY, np.uint8)
    image[: height // 4, : width // 4] = RED
    image[-height // 4 :, -width // 4 :] = number * 8 % 256
    return image


def wandering(size, number=0):
    """A texture that wanders over the picture, so that pictures are made out of each other."""
    width, height = size
    texture = np.random.default_rng(0).integers(0, 255, (height // 8 + 9, width // 8 + 9, 3))
    large = texture.astype(np.uint8).repeat(8, 0).repeat(8, 1)
    y, x = int(30 + 25 * np.sin(number / 3)), int(30 + 25 * np.cos(number / 5))
    return np.ascontiguousarray(large[y : y + height, x : x + width])


def make(path, codec="libx264", size=(160, 120), frames=10, fps=25, drawn=picture, **options):
    """A video of what `drawn` draws; `stamps` in milliseconds make the rate vary."""
    stamps = options.pop("stamps", None)
    pixels, aspect = options.pop("pixels", "yuv420p"), options.pop("aspect", None)
    container_options, tags = options.pop("container", {}), options.pop("tags", {})
    with av.open(str(path), "w", options=container_options) as container:
        container.metadata.update(tags)
        stream = container.add_stream(codec, rate=fps, options=options)
        stream.width, stream.height, stream.pix_fmt = *size, pixels
        if stamps:
            stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        if aspect:
            stream.codec_context.sample_aspect_ratio = aspect
        for number, stamp in enumerate(stamps or range(frames)):
            frame = av.VideoFrame.from_ndarray(drawn(size, number), format="bgr24")
            frame.pts = stamp
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def turn(path, matrix):
    """Set the display matrix in an MP4's track header (ISO 14496-12, 8.3.2)."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 44
    a, b, c, d = (value << 16 for value in matrix)
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
