import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vid3d.pose2d import decode
from vid3d.pose2d.manifest import InputSpec
from vid3d.pose2d.preprocess import clipped, crop_maps, crops, normalise, to_image, whole_images


def test_simcc_by_hand():
    x, y = np.zeros((1, 2, 8)), np.zeros((1, 2, 12))
    x[0, 0, 5], y[0, 0, 9] = 0.8, 0.6
    x[0, 1, 2], y[0, 1, 1] = 0.3, 0.7
    points, scores = decode.simcc(x, y, 2.0)
    assert points[0].tolist() == [[2.5, 4.5], [1.0, 0.5]]
    np.testing.assert_allclose(scores[0], [0.6, 0.3])


def gaussian(x, y, sigma=2.0, shape=(64, 48)):
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sigma**2)).astype(np.float32)


@settings(max_examples=40, deadline=None)
@given(st.floats(8, 40), st.floats(8, 55))
def test_dark_finds_the_centre_between_cells(x, y):
    maps = gaussian(x, y)[None, None]
    points, scores = decode.heatmap(maps, (192, 256), refine="dark", blur=11)
    np.testing.assert_allclose(points[0, 0], [4 * x, 4 * y], atol=0.2)
    assert scores[0, 0] == maps.max()
    coarse, _ = decode.heatmap(maps, (192, 256), refine="none")
    assert (coarse % 4 == 0).all()


def test_dark_leaves_peaks_at_the_border_and_flat_maps_alone():
    maps = np.stack([gaussian(0, 0), gaussian(47, 63), np.zeros((64, 48), np.float32)])[None]
    points, _ = decode.heatmap(maps, (192, 256))
    assert points[0].tolist() == [[0, 0], [188, 252], [0, 0]]


def softmax_gaussian(x, y, shape=(16, 12)):
    """A map whose soft-max of sharpness 10 is a Gaussian with a deviation of half a cell."""
    return (np.log(gaussian(x, y, 0.5, shape).clip(1e-30)) / decode.SHARPNESS).astype(np.float32)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.floats(0.55, 10.45), st.floats(0.55, 14.45)), min_size=1, max_size=6))
def test_expectation_finds_the_centre_between_cells_and_near_the_border(centres):
    maps = np.stack([softmax_gaussian(x, y) for x, y in centres])[:, None]
    points, _ = decode.heatmap(maps, (12, 16), refine="expectation")
    np.testing.assert_allclose(points[:, 0], centres, atol=0.05)


def test_expectation_by_hand():
    inside, corner, far = (np.full((4, 3), -9.0, np.float32) for _ in range(3))
    inside[1, 1], inside[1, 2], inside[2, 1] = 0.9, 0.9, 0.9 + np.log(0.5) / decode.SHARPNESS
    corner[0, 0], corner[0, 1] = 0.5, 0.5 + np.log(1 / 3) / decode.SHARPNESS
    far[3, 2], far[0, 0] = 0.8, 0.79  # another peak, which has no say
    points, scores = decode.heatmap(np.stack([inside, corner, far])[None], (30, 40), "expectation")
    np.testing.assert_allclose(points[0], [[14, 12], [2.5, 0], [20, 30]], atol=1e-4)
    np.testing.assert_allclose(scores[0], [0.9, 0.5, 0.8])


@pytest.mark.parametrize("layout", ["one output a stride", "logits, then distances"])
def test_rtmdet_by_hand(layout):
    logits = [np.full((1, 1, n, n), -20.0) for n in (4, 2, 1)]
    sides = [np.zeros((1, 4, n, n)) for n in (4, 2, 1)]
    logits[1][0, 0, 1, 0] = 0.0  # row 1, column 0 at stride 16: point (0, 16)
    sides[1][0, :, 1, 0] = [1, 2, 3, 4]
    outputs = [*logits, *sides]
    if layout == "one output a stride":
        outputs = [np.concatenate(pair, 1).transpose(0, 2, 3, 1)
                   for pair in zip(logits, sides, strict=True)]  # fmt: skip
    options = {"kind": "rtmdet", "strides": (8, 16, 32), "person_class": 0}
    boxes, scores = decode.boxes_of(outputs, options, (32, 32))
    assert boxes.shape == (1, 21, 4)
    best = int(scores[0].argmax())
    assert boxes[0, best].tolist() == [-1, 14, 3, 20]
    assert scores[0, best] == pytest.approx(0.5)


def test_yolox_by_hand():
    rows = np.zeros((1, 16 + 4 + 1, 85))
    rows[0, 16 + 3, :6] = [0.5, 0.25, np.log(2), np.log(3), 0.8, 0.5]  # stride 16, cell (1, 1)
    options = {"kind": "yolox", "strides": (8, 16, 32), "person_class": 0}
    boxes, scores = decode.boxes_of([rows], options, (32, 32))
    np.testing.assert_allclose(boxes[0, 19], [24 - 16, 20 - 24, 24 + 16, 20 + 24])
    assert scores[0, 19] == pytest.approx(0.4)


def test_end2end_and_picodet_pick_the_class():
    dets = np.array([[[0, 0, 9, 9, 0.9], [1, 1, 5, 5, 0.8]]])
    options = {"kind": "end2end", "person_class": 2}
    _, scores = decode.boxes_of([dets, np.array([[0, 2]])], options, (32, 32))
    assert scores.tolist() == [[0, 0.8]]
    options = {"kind": "picodet", "person_class": 1}
    scores = np.array([[[0.1, 0.2], [0.3, 0.4]]])
    assert decode.boxes_of([dets[..., :4], scores], options, (32, 32))[1].tolist() == [[0.3, 0.4]]


def test_suppress_keeps_the_best_and_drops_what_is_no_box():
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 9], [50, 50, 60, 60], [9, 9, 2, 2],
                      [0, 0, np.nan, 5], [80, 80, 90, 90]], float)  # fmt: skip
    scores = np.array([0.7, 0.9, 0.8, 0.99, 0.99, 0.1])
    assert decode.suppress(boxes, scores, 0.3, 0.5).tolist() == [1, 2]
    assert decode.suppress(boxes, scores, 0.3, 0.95).tolist() == [1, 2, 0]
    assert decode.suppress(boxes[:0], scores[:0], 0.3, 0.5).tolist() == []


def test_letterbox_by_hand():
    spec = InputSpec(size=(64, 64), pad=114)
    image = np.full((20, 40, 3), 200, np.uint8)
    pictures, scales = whole_images([image], spec)
    assert pictures.shape == (1, 3, 64, 64)
    assert (pictures[0, :, :32] == 200).all()
    assert (pictures[0, :, 32:] == 114).all()
    assert scales[0].tolist() == pytest.approx([1.6, 1.6])
    stretched, scales = whole_images([image], InputSpec(size=(64, 64), resize="stretch"))
    assert (stretched == 200).all()
    assert scales[0].tolist() == pytest.approx([1.6, 3.2])


def test_letterboxes_without_more_padding_than_a_network_needs():
    spec = InputSpec(size=(416, 416))
    wide, high = np.zeros((90, 160, 3), np.uint8), np.zeros((400, 300, 3), np.uint8)
    pictures, scales = whole_images([wide], spec, 32)
    assert pictures.shape == (1, 3, 256, 416)  # 416 x 234, up to a multiple of 32
    np.testing.assert_allclose(scales, [[2.6, 2.6]])
    assert whole_images([wide, high], spec, 32)[0].shape == (2, 3, 416, 416)
    padded, _ = whole_images([wide], spec)
    np.testing.assert_array_equal(padded[:, :, :256], pictures)


def test_normalise_orders_channels():
    spec = InputSpec(size=(1, 1), channels="rgb", mean=(30, 20, 10), std=(3, 2, 1))
    assert normalise(np.array([[[[11, 22, 33]]]], np.uint8), spec).ravel().tolist() == [1, 1, 1]


def test_crop_by_hand():
    # a box of 30 x 80 is widened to 60 x 80 and enlarged to 75 x 100
    maps = crop_maps(np.array([[10.0, 20, 40, 100]]), (192, 256))
    np.testing.assert_allclose(maps[0], [[2.56, 0, 96 - 25 * 2.56], [0, 2.56, 128 - 60 * 2.56]])
    assert to_image(np.array([[[96.0, 128.0]]]), maps).tolist() == [[[25, 60]]]


box = st.tuples(st.floats(-50, 400), st.floats(-50, 400), st.floats(0, 300), st.floats(0, 300))


@settings(max_examples=50, deadline=None)
@given(st.lists(box, min_size=1, max_size=4), st.integers(0, 2**31))
def test_points_come_back_from_the_crop(boxes, seed):
    corners = np.array([[x, y, x + w, y + h] for x, y, w, h in boxes])
    points = np.random.default_rng(seed).uniform(-50, 500, (len(boxes), 17, 2))
    maps = crop_maps(corners, (192, 256))
    inside = points @ maps[:, :, :2].transpose(0, 2, 1) + maps[:, None, :, 2]
    np.testing.assert_allclose(to_image(inside, maps), points, atol=1e-3)


def test_a_mark_in_the_image_is_at_its_place_in_the_crop():
    image = np.zeros((240, 320, 3), np.uint8)
    image[100, 150] = 255
    spec = InputSpec(size=(192, 256), resize="crop", pad=0)
    pictures, maps = crops([image], [np.array([[120.0, 60, 180, 140]])], spec)
    y, x = np.unravel_index(pictures[0, 0].argmax(), pictures[0, 0].shape)
    np.testing.assert_allclose(to_image(np.array([[[x, y]]]), maps)[0, 0], [150, 100], atol=0.5)


def test_boxes_are_cut_to_the_image():
    image = np.zeros((50, 100, 3), np.uint8)
    boxes = np.array([[-5.0, 10, 20, 90], [120, 0, 130, 9]])
    inside, scores = clipped(boxes, np.array([0.5, 0.6]), image)
    assert inside.tolist() == [[0, 10, 20, 50]]
    assert scores.tolist() == [0.5]
