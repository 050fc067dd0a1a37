"""The people2d pack, image sets, crops, labels, scenes and the measures of 2D accuracy."""

import gzip
import json
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vid3d.data import crops, nobody
from vid3d.data.backdrops import Backdrops, paste_occluder
from vid3d.data.labelled_images import ImageLabels, LabelledImages, write_labelled_images
from vid3d.data.mocap import DEV_ACTORS, MotionClip, read_mocap
from vid3d.data.people2d import (
    AGREED,
    CORRECTED,
    People2d,
    prepare_people2d,
    with_other_labels,
)
from vid3d.data.scenes import Scenes, Tiling
from vid3d.data.synthetic import Studio, motion_of, render_sets, training_names
from vid3d.errors import Vid3dError
from vid3d.evaluation import people2d as measure
from vid3d.skeleton import COCO17


def _labels(box: tuple[float, ...], ignored: bool = False, trust: float = 1.0) -> ImageLabels:
    spread = np.linspace(0.2, 0.8, 17)[:, None] * [1, 1]
    corner, side = np.array(box[:2]), np.array(box[2:]) - np.array(box[:2])
    return ImageLabels(
        np.array([box], np.float32),
        np.array([ignored]),
        (corner + spread * side)[None].astype(np.float32),
        np.full((1, 17), trust, np.float32),
    )


def _toy_set(folder: Path, count: int = 3) -> LabelledImages:
    rng = np.random.default_rng(0)
    samples = [
        (
            rng.integers(0, 255, (120 + i, 90, 3), np.uint8),
            ImageLabels.join([_labels((10, 10, 60, 100)), _labels((70, 5, 85, 30), True, 0.0)]),
        )
        for i in range(count)
    ]
    return write_labelled_images(folder, samples)


def test_image_set_keeps_pixels_and_labels(tmp_path: Path) -> None:
    images = _toy_set(tmp_path)
    assert len(images) == 3
    assert images.image(2).shape == (122, 90, 3)
    labels = images.labels(1)
    np.testing.assert_array_equal(labels.boxes[0], [10, 10, 60, 100])
    np.testing.assert_array_equal(labels.ignored, [False, True])
    first = np.random.default_rng(0).integers(0, 255, (120, 90, 3), np.uint8)
    np.testing.assert_array_equal(images.image(0), first)


def test_unfinished_or_cut_image_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Vid3dError, match=r"labels\.npz is missing"):
        LabelledImages.open(tmp_path)
    _toy_set(tmp_path)
    (tmp_path / "pixels.bin").write_bytes(b"1234")
    with pytest.raises(Vid3dError, match="holds 4 bytes"):
        LabelledImages.open(tmp_path)


def _write_pack(folder: Path) -> None:
    image = np.full((40, 30, 3), 200, np.uint8)
    with zipfile.ZipFile(folder / "images-00.zip", "w") as z:
        z.writestr("a.webp", cv2.imencode(".webp", image)[1].tobytes())
    xyv = [[5 + j, 6 + j, 2 if j < 10 else 0] for j in range(17)]
    person = {"image_id": 7, "iscrowd": 0, "bbox": [2, 3, 20, 30], "has_pose": 1}
    person |= {"keypoints": np.ravel(xyv).tolist(), "keypoint_scores": [0.7] * 17}
    person |= {"human_checked": 1, "source_keypoints": np.ravel(xyv).tolist()}
    crowd = {"image_id": 7, "iscrowd": 1, "bbox": [22, 3, 5, 5]}
    entry = {"id": 7, "file_name": "a.webp", "shard": "images-00.zip", "split": "train"}
    document = {"images": [entry], "annotations": [person, crowd]}
    with gzip.open(folder / "annotations.json.gz", "wt") as file:
        json.dump(document, file)


def test_pack_is_read(tmp_path: Path) -> None:
    _write_pack(tmp_path)
    images = prepare_people2d(tmp_path, tmp_path / "set")
    labels = images.labels(0)
    np.testing.assert_array_equal(labels.boxes, [[2, 3, 22, 33], [22, 3, 27, 8]])
    np.testing.assert_array_equal(labels.ignored, [False, True])
    np.testing.assert_allclose(labels.weights[0], [0.7] * 10 + [0.0] * 7)
    assert labels.weights[1].sum() == 0
    (person,) = measure.labelled_people(People2d(tmp_path), "train")
    assert person.torso == 0  # hips unknown
    assert not list(measure.labelled_people(People2d(tmp_path), "val"))


def _other(moves: dict[int, tuple[float, float]], **fields: object) -> dict[str, object]:
    """A row of the pack: its other labels of `_labels((10, 10, 70, 90))`, moved by (x, y)."""
    points = _labels((10, 10, 70, 90)).keypoints[0]
    source = np.zeros((17, 3))
    for joint, move in moves.items():
        source[joint] = [*(points[joint] + move), 2]
    return {"source_label": "lspet_human", "source_keypoints": source.ravel().tolist(), **fields}


def test_labels_of_other_origin_are_heard() -> None:
    """The box's diagonal is 100 pixels: within 6 two labels agree."""
    teacher = _labels((10, 10, 70, 90), trust=0.5)
    teacher.weights[0, 9] = 0.0
    moves = {7: (4.0, 0.0), 8: (0.0, 7.0), 9: (1.0, 0.0)}
    mended = with_other_labels(teacher, [_other(moves)])
    moved = mended.keypoints[0] - teacher.keypoints[0]
    np.testing.assert_allclose(moved[7], [2, 0], atol=1e-5)  # they agree: half-way
    np.testing.assert_allclose(moved[8], [0, 7], atol=1e-5)  # they do not: people are right
    np.testing.assert_allclose(moved[9], [1, 0], atol=1e-5)  # the teacher did not know
    assert mended.weights[0, 7:10].tolist() == pytest.approx([AGREED, CORRECTED, CORRECTED])
    rest = np.setdiff1d(np.arange(17), [7, 8, 9])
    np.testing.assert_array_equal(moved[rest], 0)
    np.testing.assert_array_equal(mended.weights[0, rest], 0.5)


def test_another_network_is_heard_only_where_it_agrees() -> None:
    teacher = _labels((10, 10, 70, 90), trust=0.5)
    moves = {7: (4.0, 0.0), 8: (0.0, 7.0)}
    mended = with_other_labels(teacher, [_other(moves, source_label="yolo_pseudo")])
    moved = mended.keypoints[0] - teacher.keypoints[0]
    np.testing.assert_allclose(moved[[7, 8]], [[2, 0], [0, 0]], atol=1e-5)
    np.testing.assert_array_equal(mended.weights, teacher.weights)


def test_who_has_left_and_right_exchanged_is_left_to_the_teacher() -> None:
    teacher = _labels((10, 10, 70, 90))
    for row in (_other({7: (4.0, 0.0)}, flags=["lr_disputed"]), {}):
        mended = with_other_labels(teacher, [row])
        np.testing.assert_array_equal(mended.keypoints, teacher.keypoints)


def test_no_pack_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(Vid3dError, match="cannot read the people2d pack"):
        People2d(tmp_path)


def test_shared_pack(shared: Path) -> None:
    pack = People2d(shared / "data" / "people2d")
    entry = pack.images[0]
    image, labels = pack.image(entry), pack.labels(entry)
    assert image.shape == (entry["height"], entry["width"], 3)
    assert labels.weights.max() <= 1
    assert sum(1 for i in pack.images if i["split"] == "val") == 805


def test_crop_matrix_matches_the_models_formula() -> None:
    box = np.array([10.0, 20.0, 40.0, 100.0])
    size = crops.crop_size(box, 0.75)
    np.testing.assert_allclose(size, [75, 100])  # 60 x 80 at 3:4, times 1.25
    matrix = crops.crop_matrix(np.array([25.0, 60.0]), size, 0, (96, 128))
    np.testing.assert_allclose(matrix, [[1.28, 0, 48 - 32], [0, 1.28, 64 - 76.8]])


@given(st.floats(-180, 180), st.integers(0, 2**31))
def test_keypoints_move_with_the_pixels(angle: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    image = np.zeros((200, 200, 3), np.uint8)
    spot = rng.uniform(70, 130, 2).round()
    cv2.circle(image, tuple(int(v) for v in spot), 6, (255, 255, 255), -1)
    matrix = crops.crop_matrix(np.array([100.0, 100.0]), np.array([120.0, 160.0]), angle, (96, 128))
    crop = cv2.warpAffine(image, matrix, (96, 128))[..., 0].astype(float)
    ys, xs = np.mgrid[:128, :96]
    seen = np.array([(xs * crop).sum(), (ys * crop).sum()]) / crop.sum()
    np.testing.assert_allclose(seen, matrix[:, :2] @ spot + matrix[:, 2], atol=0.6)


def test_flipped_crop_exchanges_left_and_right(tmp_path: Path) -> None:
    image = np.zeros((100, 80, 3), np.uint8)
    points = np.tile([[40.0, 50.0]], (17, 1))
    left = COCO17.joints.index("left_wrist")
    right = COCO17.joints.index("right_wrist")
    points[left, 0], points[right, 0] = 60, 20  # facing the camera
    still = crops.Augmentation((1, 1), 0, 0, 0, 0, 0, 0, 0, 0)
    for seed in range(8):
        rng = np.random.default_rng(seed)
        box = np.array([0.0, 0.0, 80.0, 100.0])
        _, moved, _ = crops.augmented_crop(image, box, points, np.ones(17), (96, 128), still, rng)
        assert moved[left, 0] > moved[right, 0]  # in the mirror image too


def test_people_who_lie_or_stand_on_their_head_fill_their_crop() -> None:
    image, box = np.zeros((100, 80, 3), np.uint8), np.array([30.0, 10.0, 50.0, 90.0])
    points = np.tile([[40.0, 50.0]], (17, 1))
    nose, ankle = COCO17.joints.index("nose"), COCO17.joints.index("left_ankle")
    points[nose], points[[ankle, COCO17.flip[ankle]]] = (40, 15), (40, 85)
    turning = crops.Augmentation((1, 1), 0, 0, 0, 1, 0, 0, 0, 0)
    seen = set()
    for seed in range(20):
        rng = np.random.default_rng(seed)
        _, moved, _ = crops.augmented_crop(image, box, points, np.ones(17), (96, 128), turning, rng)
        step = moved[ankle] - moved[nose]
        lies = abs(step[0]) > abs(step[1])
        # the longer side, 80 pixels, and a quarter more in 96 or in 128
        np.testing.assert_allclose(abs(step), [67.2, 0] if lies else [0, 89.6], atol=1e-9)
        seen.add(tuple(np.sign(step.round()).astype(int)))
    assert seen == {(1, 0), (-1, 0), (0, -1)}


def test_labels_peak_at_the_joint_and_are_flat_outside() -> None:
    points = torch.zeros(1, 17, 2)
    points[0, 0], points[0, 1] = torch.tensor([40.0, 64.0]), torch.tensor([-5.0, 64.0])
    x, y = crops.simcc_labels(points, (96, 128), 4.0, (4.9, 5.66))
    assert x.shape == (1, 17, 384)
    assert y.shape == (1, 17, 512)
    assert int(x[0, 0].argmax()) == 160
    assert int(y[0, 0].argmax()) == 256
    maps = crops.heatmap_labels(points, (96, 128), 8, 1.0)
    assert maps.shape == (1, 17, 16, 12)
    assert int(maps[0, 0].argmax()) == 8 * 12 + 5
    assert float(x[0, 1].abs().max() + maps[0, 1].abs().max()) == 0
    trust = torch.full((1, 17), 0.8)
    weights = crops.target_weights(points, trust, (96, 128))
    assert float(weights[0, 0]) == pytest.approx(0.8)
    assert float(weights[0, 1]) == pytest.approx(crops.OUTSIDE_WEIGHT)


def test_batches_depend_on_their_generator_alone(tmp_path: Path) -> None:
    images = _toy_set(tmp_path)
    pool = crops.PoseCrops([images])
    assert len(pool) == 3  # ignored regions are nobody
    first, second = (
        pool.batch(4, (96, 128), crops.Augmentation(), np.random.default_rng(5)) for _ in range(2)
    )
    assert torch.equal(first[0], second[0])
    assert first[0].shape == (4, 3, 128, 96)


class _Mistaken:
    """A detector that sees the same boxes in every image."""

    def __init__(self, *boxes: tuple[float, ...]) -> None:
        self.boxes = np.array(boxes, np.float32)

    def __call__(self, images: list[np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
        return [(self.boxes, np.full(len(self.boxes), 0.5, np.float32)) for _ in images]


def test_nobody_is_where_a_detector_is_mistaken(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    image = cv2.GaussianBlur(rng.integers(0, 255, (160, 240, 3), np.uint8), (0, 0), 3)
    people = write_labelled_images(tmp_path / "people", [(image, _labels((10, 20, 60, 140)))])
    wrong = (120.0, 40.0, 165.0, 100.0)
    detector = _Mistaken((12, 20, 60, 138), wrong, (200, 20, 212, 40), (40, 30, 100, 120))
    images = nobody.write_nobody(tmp_path / "nobody", [people], detector)
    assert len(images) == 1  # the true one, a small one and one that half holds a person are not
    assert len(images.image_of) == 0
    still = crops.Augmentation((1, 1), 0, 0, 0, 0, 0, 0, 0, 0)
    box = crops.middle(images.sizes[0])
    np.testing.assert_allclose(box[2:] - box[:2], [45, 60], atol=0.3)

    def crop(source: np.ndarray, where: np.ndarray) -> np.ndarray:
        points, rng = np.zeros((17, 2)), np.random.default_rng(3)
        out = crops.augmented_crop(source, where, points, np.ones(17), (96, 128), still, rng)
        return out[0].astype(float)

    apart = np.abs(crop(images.image(0), box) - crop(image, np.array(wrong)))
    assert apart.mean() < 1.5


def test_crops_of_nobody_ask_for_flat_maps(tmp_path: Path) -> None:
    people = _toy_set(tmp_path / "people")
    empty = write_labelled_images(
        tmp_path / "empty", [(np.full((90, 70, 3), 99, np.uint8), nobody.no_people())]
    )
    pool = crops.PoseCrops([people, empty], nobody=1.0)
    aug = crops.Augmentation(half_body=1.0)
    images, points, trust = pool.batch(5, (96, 128), aug, np.random.default_rng(0))
    assert (images.flatten(1).max(1).values > 0).all()
    assert crops.heatmap_labels(points, (96, 128), 8, 1.0).max() == 0
    weights = crops.target_weights(points, trust, (96, 128))
    torch.testing.assert_close(weights, torch.full((5, 17), crops.OUTSIDE_WEIGHT))
    mixed = crops.PoseCrops([people, empty], nobody=0.3)
    _, points, _ = mixed.batch(400, (32, 32), crops.Augmentation(), np.random.default_rng(1))
    share = float((points.norm(dim=-1).amin(1) > 1000).float().mean())
    assert 0.2 < share < 0.4
    assert crops.PoseCrops([people], nobody=0.3).nobody == 0  # nowhere to look


def test_scenes_keep_boxes_inside_and_grey_out_the_ignored(tmp_path: Path) -> None:
    scenes = Scenes([_toy_set(tmp_path)])
    for seed in range(12):
        rng = np.random.default_rng(seed)
        scene = scenes.scene(160, Tiling((0.4, 0.3, 0.3)), rng)
        assert scene.image.shape == (160, 160, 3)
        assert (scene.boxes >= 0).all()
        assert (scene.boxes <= 160).all()
        assert (scene.boxes[:, 3] - scene.boxes[:, 1] >= 8).all()
    images, boxes = scenes.batch(2, 96, Tiling(), np.random.default_rng(0))
    assert images.shape == (2, 3, 96, 96)
    assert len(boxes) == 2


def test_backdrops_hold_nobody(tmp_path: Path) -> None:
    image = np.full((120, 160, 3), 50, np.uint8)
    image[10:100, 20:80] = 255
    photos = write_labelled_images(tmp_path, [(image, _labels((20, 10, 80, 100)))])
    rng = np.random.default_rng(0)
    parts = [Backdrops._free_part(photos, rng) for _ in range(20)]
    found = [part for part in parts if part is not None]
    assert found
    assert all(part.max() == 50 for part in found)
    assert Backdrops().texture((64, 48), rng).shape == (48, 64, 3)


def test_photographs_too_small_for_a_backdrop_are_passed_over(tmp_path: Path) -> None:
    small = write_labelled_images(
        tmp_path, [(np.zeros((40, 200, 3), np.uint8), nobody.no_people())]
    )
    rng = np.random.default_rng(0)
    assert Backdrops._free_part(small, rng) is None
    assert Backdrops(small).texture((64, 48), rng).shape == (48, 64, 3)


def test_occluder_hides_joints_but_moves_none() -> None:
    labels = _labels((10, 10, 90, 110))
    image = np.zeros((120, 100, 3), np.uint8)
    covered = 0
    for seed in range(10):
        rng = np.random.default_rng(seed)
        painted, after = paste_occluder(image, labels, Backdrops(), 0.5, rng)
        np.testing.assert_array_equal(after.keypoints, labels.keypoints)
        assert painted.shape == image.shape
        covered += int((after.weights < 1).sum())
    assert covered > 0


class _Shifted:
    """A pose network that is wrong by a known distance."""

    name, joint_set = "toy", "coco17"

    def __init__(self, truth: np.ndarray, error: float) -> None:
        self.answer = truth + [error, 0]

    def __call__(self, images: object, boxes: object) -> list[tuple[np.ndarray, np.ndarray]]:
        return [(self.answer[None], np.ones((1, 17)))]


@pytest.mark.parametrize(("error", "expected"), [(5, 1.0), (15, 0.0)])
def test_pck_by_hand(error: float, expected: float) -> None:
    points = np.zeros((17, 2), np.float32)
    points[5:7] = [[40, 10], [60, 10]]
    points[11:13] = [[45, 60], [55, 60]]
    known = np.ones(17, bool)
    torso = measure.torso_length(points, known)
    assert torso == 50
    image, box = np.zeros((9, 9, 3), np.uint8), np.array([0, 0, 100, 120], np.float32)
    person = measure.PosedPerson(image, box, points, known, torso)
    figures = measure.pose_accuracy(_Shifted(points, error), [person])
    assert figures.pck20 == expected
    assert figures.pck50 == 1
    assert 0 < figures.oks < 1


def test_boxes_are_matched_by_hand() -> None:
    true = np.array([[0.0, 0, 10, 20], [50, 0, 60, 20]])
    ignored = np.array([[100.0, 0, 130, 30]])
    found = np.array([[0, 0, 10, 19], [0, 0, 10, 20], [105, 5, 115, 25], [200, 0, 210, 20.0]])
    verdict = measure.match_boxes(found, np.array([0.9, 0.8, 0.7, 0.6]), true, ignored)
    np.testing.assert_array_equal(verdict, [1, 0, -1, 0])  # hit, double, not counted, false
    figures = measure._box_figures(verdict, np.array([0.9, 0.8, 0.7, 0.6]), 2, 0.85)
    assert (figures.recall, figures.precision) == (0.5, 1.0)
    assert figures.recall_at_75 == 0.5


def test_a_detector_that_finds_nobody_recalls_nobody() -> None:
    image, true, nothing = np.zeros((100, 100, 3), np.uint8), [[0, 0, 50, 90]], np.zeros((0, 4))
    blind = lambda images: [(nothing, np.zeros(0))]  # noqa: E731
    figures = measure.box_accuracy(blind, [(image, np.array(true, float), nothing)], 0.3)
    assert (figures.people, figures.recall, figures.recall_at_75) == (1, 0.0, 0.0)


@pytest.fixture
def opengl() -> None:
    moderngl = pytest.importorskip("moderngl")
    try:
        moderngl.create_context(standalone=True, backend="egl").release()
    except Exception as error:  # whatever the driver says
        pytest.skip(f"no OpenGL: {error}")


@pytest.mark.usefixtures("opengl")
def test_rendered_people_fill_their_boxes(shared: Path) -> None:
    """Labels have their 0 at the centre of the first pixel, as cv2 and the crops have it."""
    bodies, rng = shared / "data/bodies", np.random.default_rng(0)
    clips = read_mocap(shared / "data/mocap/heldout_hdm05.npz")[:4]
    studio = Studio(bodies, clips, training_names(bodies)[:3], Backdrops(), rng)
    black, white = (np.full((320, 448, 3), shade, np.uint8) for shade in (0, 255))
    off = []
    while len(off) < 12:
        actor = studio.actors[len(off) % 5]
        actor.place(np.zeros(2), rng)
        camera, pictures = studio._camera([actor]), []
        for backdrop in (black, white):
            studio.scene.set_background(backdrop)
            pictures.append(studio.scene.render([actor.person], camera, floor=False).astype(int))
        rows, columns = np.nonzero(np.abs(pictures[0] - pictures[1]).sum(-1) < 200)
        if rows.size == 0 or min(rows.min(), columns.min()) == 0:
            continue
        if rows.max() == 319 or columns.max() == 447:
            continue
        (left, top, right, bottom) = studio._label(actor).boxes[0]
        middle = (columns.min() + columns.max()) / 2, (rows.min() + rows.max()) / 2
        off.append([(left + right) / 2 - middle[0], (top + bottom) / 2 - middle[1]])
    studio.close()
    assert np.abs(np.mean(off, 0)).max() < 0.25


@pytest.mark.usefixtures("opengl")
def test_every_rendered_set_has_pictures(shared: Path, tmp_path: Path) -> None:
    mocap = sorted((shared / "data/mocap").glob("heldout_*.npz"))[:1]
    render_sets(shared / "data/bodies", mocap, tmp_path, shards=3, pictures=1)
    for shard in ("000", "001", "002"):
        assert LabelledImages.open(tmp_path / shard).image(0).std() > 5


def test_average_precision_by_hand() -> None:
    ap = measure.average_precision
    assert ap(np.ones(4), np.arange(4.0)) == 1
    assert ap(np.array([0.72]), np.ones(1)) == 0.5  # five of ten limits
    assert ap(np.array([1.0, 0.0]), np.array([2.0, 1.0])) == pytest.approx(51 / 101)
    assert ap(np.array([0.0, 1.0]), np.array([2.0, 1.0])) == pytest.approx(0.5 * 51 / 101)


def test_dev_actors_are_not_rendered(monkeypatch: pytest.MonkeyPatch) -> None:
    joints = np.zeros((2, 17, 3), np.float32)
    names = [DEV_ACTORS[0], "somebody", DEV_ACTORS[-1]]
    clips = [MotionClip(name, name, "stands", joints) for name in names]
    monkeypatch.setattr("vid3d.data.synthetic.read_mocap", lambda path: clips)
    assert [clip.actor for clip in motion_of([Path("a"), Path("b")])] == ["somebody"] * 2
