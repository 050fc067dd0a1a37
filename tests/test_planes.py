"""Pictures in 4:2:0: colours are right whatever a file holds, and what is not drawn on stays."""

from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from av.video.reformatter import ColorRange
from hypothesis import given, settings
from hypothesis import strategies as st
from motion_toys import FPS, bgr_of, make_motion, standing

from vid3d.render import RenderOptions, render_overlay
from vid3d.video import VideoReader, writer
from vid3d.video.frame import Display, Frame
from vid3d.video.planes import BT709, BT2020, SMPTE170M, SWSCALE, UNSPECIFIED, Coding, Planes

SIZE = (96, 64)


def colorful(size=SIZE):
    """A smooth BGR picture with all hues."""
    width, height = size
    hue = np.broadcast_to(np.linspace(0, 179, width), (height, width))
    value = np.broadcast_to(np.linspace(90, 220, height)[:, None], (height, width))
    hsv = np.stack([hue, np.full((height, width), 150), value], -1).astype(np.uint8)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)


def decoded(image, kind, matrix=BT709, full=False):
    """A frame of a picture in some pixel format, as a decoder gives it."""
    frame = av.VideoFrame.from_ndarray(image, "bgr24")
    if kind == "bgr24":
        return frame
    tone = ColorRange.JPEG if full else ColorRange.MPEG
    frame = frame.reformat(format=kind, dst_colorspace=SWSCALE[matrix], dst_color_range=tone)
    frame.colorspace, frame.color_range = matrix, tone
    return frame


def shown(frame, display, size):
    """What a frame looks like after it was taken over."""
    padded = [side + side % 2 for side in size]
    _, planes = Planes.blank(padded, Coding.of(frame))
    planes.show(Frame(0, 0.0, frame, display), size)
    return planes


def test_inks_are_those_of_the_standards():
    colors = [(255, 255, 255), (0, 0, 0), (0, 0, 255)]
    np.testing.assert_array_equal(
        Coding(BT709).ink(colors), [[235, 128, 128], [16, 128, 128], [63, 102, 240]]
    )
    np.testing.assert_array_equal(
        Coding(SMPTE170M).ink(colors), [[235, 128, 128], [16, 128, 128], [81, 90, 240]]
    )
    np.testing.assert_array_equal(
        Coding(SMPTE170M, full=True).ink(colors), [[255, 128, 128], [0, 128, 128], [76, 85, 255]]
    )
    np.testing.assert_array_equal(
        Coding(BT2020).ink(colors), [[235, 128, 128], [16, 128, 128], [74, 97, 240]]
    )


@pytest.mark.parametrize("kind", ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "bgr24"])
@pytest.mark.parametrize("matrix", [BT709, SMPTE170M, BT2020])
@pytest.mark.parametrize("full", [False, True])
def test_colours_are_kept(kind, matrix, full):
    image = colorful()
    planes = shown(decoded(image, kind, matrix, full), Display(SIZE), SIZE)
    assert np.abs(bgr_of(planes).astype(int) - image).mean() < 4
    if kind != "bgr24":
        assert (planes.coding.matrix, planes.coding.full) == (matrix, full)


def test_full_range_by_name_and_grey():
    image = colorful()
    old = decoded(image, "yuvj420p", SMPTE170M, full=True)
    assert Coding.of(old).full
    assert np.abs(bgr_of(shown(old, Display(SIZE), SIZE)).astype(int) - image).mean() < 4
    grey = av.VideoFrame.from_ndarray(image[..., 1], "gray")
    seen = bgr_of(shown(grey, Display(SIZE), SIZE)).astype(int)
    assert np.abs(seen - image[..., 1:2]).mean() < 2


@pytest.mark.parametrize(("size", "matrix"), [((720, 576), SMPTE170M), ((1280, 720), BT709)])
def test_files_that_do_not_say_are_taken_as_players_do(size, matrix):
    frame = av.VideoFrame(*size, "yuv420p")
    assert frame.colorspace == UNSPECIFIED
    assert Coding.of(frame).matrix == matrix


def test_what_4_2_0_does_not_hold_becomes_bt709():
    frame = decoded(colorful(), "yuv420p10le")
    frame.colorspace = 8  # YCgCo
    assert Coding.of(frame) == Coding()
    assert Coding.of(av.VideoFrame(*SIZE, "rgb24")) == Coding()


MATRICES = [
    ((1, 0), (0, 1)), ((0, -1), (1, 0)), ((-1, 0), (0, -1)), ((0, 1), (-1, 0)), ((-1, 0), (0, 1))
]  # fmt: skip


@pytest.mark.parametrize("matrix", MATRICES)
@pytest.mark.parametrize("size", [SIZE, (95, 63)])
def test_turned_and_odd_pictures(matrix, size):
    display = Display(size, matrix)
    frame = decoded(colorful(size), "yuv420p")
    target = display.displayed_size
    image = bgr_of(shown(frame, display, target))
    expected = display.picture(frame, target)
    inner = image[: target[1], : target[0]].astype(int) - expected
    assert np.abs(inner).mean() < 4
    np.testing.assert_array_equal(
        image[target[1] :], image[target[1] - 1 : target[1]][: target[1] % 2]
    )


def test_pixels_that_are_not_square_are_stretched():
    frame = decoded(colorful(), "yuv420p")
    display = Display.of(frame, Fraction(4, 3))
    seen = bgr_of(shown(frame, display, display.displayed_size))
    assert seen.shape == (64, 128, 3)
    expected = cv2.resize(colorful(), (128, 64))
    assert np.abs(seen.astype(int) - expected).mean() < 4


corners = st.tuples(st.integers(-20, 110), st.integers(-20, 80))


@settings(deadline=None)
@given(corners, corners, st.integers(0, 2**32 - 1))
def test_only_what_is_painted_changes(low, high, seed):
    generator = np.random.default_rng(seed)
    _, planes = Planes.blank(SIZE, Coding())
    for plane in (planes.luma, *planes.chroma):
        plane[:] = generator.integers(0, 256, plane.shape)
    before = [plane.copy() for plane in (planes.luma, *planes.chroma)]
    with planes.pixels(low, high) as opened:
        inside = all(max(a, 0) < min(b, s) for a, b, s in zip(low, high, SIZE, strict=True))
        assert opened is not None or not inside
    for plane, old in zip((planes.luma, *planes.chroma), before, strict=True):
        np.testing.assert_array_equal(plane, old)
    with planes.pixels(low, high) as opened:
        if opened is not None:
            image, (left, top) = opened
            assert left % 2 == top % 2 == 0
            image[:2, :2] = 77
            before[0][top : top + 2, left : left + 2] = 77
            for old in before[1:]:
                old[top // 2, left // 2] = 77
    for plane, old in zip((planes.luma, *planes.chroma), before, strict=True):
        np.testing.assert_array_equal(plane, old)


@pytest.mark.parametrize("full", [False, True])
def test_an_overlay_keeps_every_pixel_it_does_not_draw_on(tmp_path, monkeypatch, full):
    quality = {**writer.QUALITY, "qp": "0"}
    monkeypatch.setattr(writer, "QUALITY", quality)  # lossless
    source, drawn = tmp_path / "a.mkv", tmp_path / "b.mp4"
    with av.open(str(source), "w") as container:
        stream = container.add_stream("ffv1", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        stream.codec_context.color_range = ColorRange.JPEG if full else ColorRange.MPEG
        stream.codec_context.colorspace = SMPTE170M
        for index in range(3):
            frame = decoded(np.roll(colorful(), index, 1), "yuv420p", SMPTE170M, full)
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    nobody = make_motion(standing(np.zeros((0, 3, 2))), SIZE)
    render_overlay(nobody, source, drawn, options=RenderOptions(layout="overlay"))
    with VideoReader(source) as first, VideoReader(drawn) as second:
        assert second.coding.full == full
        assert second.coding.matrix == SMPTE170M
        for one, other in zip(first, second, strict=True):
            for left, right in zip(one.decoded.planes, other.decoded.planes, strict=True):
                rows = [np.frombuffer(p, np.uint8).reshape(-1, p.line_size) for p in (left, right)]
                np.testing.assert_array_equal(*(row[:, : left.width] for row in rows))
