"""A camera that travels: where it was, in metres, and people where they were."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from motion_toys import BODY, SIZE, make_motion, standing
from scipy.spatial.transform import Rotation
from test_egomotion import turn

import vid3d
from vid3d.camera import Camera
from vid3d.errors import Vid3dError
from vid3d.export import export
from vid3d.export.space import CAMERA_TO_Y_UP, Space
from vid3d.monitor import Monitor
from vid3d.motion import Motion
from vid3d.motion_schema import Stretch, farthest, from_camera, moved
from vid3d.pipeline import LiftOptions, Pipeline
from vid3d.pose2d.keypoint_files import write_keypoints
from vid3d.pose2d.people import KeypointClip, Look, People
from vid3d.travelling import Way, pace
from vid3d.video import VideoWriter
from vid3d.video.mapping import Picture, Placed, _write, place_cameras
from vid3d.world import settle
from vid3d.world.footlock import anchor_place, steps
from vid3d.world.ground import Ground

CAMERA = Camera.from_fov(60, SIZE)
FPS = 25.0
WALLS = [  # a corner, and the two edges from it, metres; the floor, a wall behind, one at the left
    ((-6, 1.5, 1), (12, 0, 0), (0, 0, 8)),
    ((-6, -3, 9), (12, 0, 0), (0, 4.5, 0)),
    ((-3.5, -3, 1), (0, 0, 8), (0, 4.5, 0)),
]


def texture(seed):
    """A picture full of blobs of all sizes, 100 pixels a metre."""
    rng = np.random.default_rng(seed)
    layers = [
        cv2.resize(rng.uniform(0, 255, (450 // size, 1200 // size)), (1200, 450), interpolation=3)
        for size in (6, 15, 40)
    ]
    return np.clip(np.mean(layers, 0) * 2 - 128, 0, 255).astype(np.uint8)


def room(position, rotation, size=SIZE):
    """What a camera (3, 3), (3,) sees of the three walls; BGR."""
    K = Camera.from_fov(60, size).intrinsics
    picture = np.zeros(size[::-1], np.uint8)
    for seed, (corner, right, down) in enumerate(WALLS):
        wall = texture(seed)
        sides = np.stack(
            [np.array(right) / 1200, np.array(down) / 450, np.subtract(corner, position)]
        )
        homography = K @ rotation @ sides.T
        seen = cv2.warpPerspective(wall, homography, size, borderValue=0)
        columns, rows = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
        back = np.linalg.solve(
            homography, np.stack([columns, rows, np.ones_like(rows)]).reshape(3, -1)
        )
        u, v = back[:2] / back[2]
        there = (u > 0) & (u < 1199) & (v > 0) & (v < 449) & (back[2] > 0)
        picture = np.where(there.reshape(rows.shape), seen, picture)
    return np.repeat(picture[..., None], 3, -1)


def away(count):
    """Positions (K, 3) and rotations (K, 3, 3) of a camera that goes ahead and to the right."""
    share = np.linspace(0, 1, count)
    positions = np.stack([1.2 * share, -0.1 * np.sin(5 * share), 0.8 * share], -1)
    return positions, np.stack([turn(-8 * s, 3 * s).T for s in share])


def aligned(placed, positions, rotations):
    """Positions found, in the frame and unit of the true ones; and the angles left, degrees."""
    turned = placed.rotation.swapaxes(1, 2) @ placed.rotation[0]
    expected = rotations[0].T @ rotations[0]  # the first camera's frame
    first = rotations[0].T @ placed.rotation[0]
    own = (placed.position - placed.position[0]) @ first.T
    true = positions - positions[0]
    scale = (own * true).sum() / (own * own).sum()
    left = rotations.swapaxes(1, 2) @ rotations[0] @ (turned @ expected).swapaxes(1, 2)
    return scale * own + positions[0], np.degrees(Rotation.from_matrix(left).magnitude())


@pytest.fixture(scope="module")
def pictures():
    pytest.importorskip("pycolmap")
    return [room(*pose) for pose in zip(*away(8), strict=True)]


def sightings(pictures, boxes=()):
    boxes = np.reshape(np.array(boxes, np.float32), (-1, 4))
    return [Picture(index, image, boxes) for index, image in enumerate(pictures)]


def test_where_a_camera_was(pictures):
    placed = place_cameras(sightings(pictures), CAMERA)
    assert placed.indices.tolist() == list(range(8))
    found, angles = aligned(placed, *away(8))
    assert np.linalg.norm(found - away(8)[0], axis=1).max() < 0.02
    assert angles.max() < 0.2
    again = place_cameras(sightings(pictures), CAMERA)
    np.testing.assert_array_equal(again.position, placed.position)  # the same seed


def test_a_lens_that_nobody_knows_is_found_with_the_way(pictures):
    placed = place_cameras(sightings(pictures), Camera.from_fov(50, SIZE), lens_known=False)
    assert placed.fov == pytest.approx(60, abs=1.5)
    found, angles = aligned(placed, *away(8))
    assert np.linalg.norm(found - away(8)[0], axis=1).max() < 0.05
    assert angles.max() < 0.5


def test_a_way_to_the_side_tells_no_lens():
    """Any fits, with a scene as much deeper or flatter: the given one stays."""
    pytest.importorskip("pycolmap")
    sideways = [room((0.2 * step, 0, 0), np.eye(3)) for step in range(7)]
    placed = place_cameras(sightings(sideways), Camera.from_fov(50, SIZE), lens_known=False)
    assert placed.fov is None
    assert np.ptp(placed.position, axis=0).argmax() == 0


def test_people_are_no_background(pictures):
    """Somebody large who moves with the camera; without a box, that would be what stands still."""
    rng = np.random.default_rng(5)
    body = cv2.resize(rng.uniform(0, 255, (60, 50)), (300, 360)).astype(np.uint8)[..., None]
    crowded = [picture.copy() for picture in pictures]
    for picture in crowded:
        picture[60:420, 200:500] = body
    placed = place_cameras(sightings(crowded, [(200, 60, 500, 420)]), CAMERA)
    found, _ = aligned(placed, *away(8))
    assert np.linalg.norm(found - away(8)[0], axis=1).max() < 0.05


def test_captions_are_masked(pictures, tmp_path):
    """They stay where they are in the picture, and would say that the camera rests."""
    captioned = [picture.copy() for picture in pictures]
    for picture in captioned:
        picture[420:470, 40:600] = 20
        cv2.putText(picture, "Lesson 3: to the left foot", (60, 455), 0, 1.1, (255, 255, 255), 3)
    assert _write(sightings(captioned), SIZE, tmp_path) == 8
    for path in sorted((tmp_path / "masks").iterdir()):
        mask = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        assert mask[430:460, 60:480].mean() < 40
        assert mask[100:380].mean() > 200  # nothing much of the scene


def test_nothing_is_found_where_nothing_tells(pictures):
    grey = np.full((*SIZE[::-1], 3), 90, np.uint8)
    assert place_cameras(sightings([grey] * 6), CAMERA) is None
    assert place_cameras(sightings(pictures[:2]), CAMERA) is None  # two are not enough
    assert place_cameras(sightings([pictures[0]] * 6), CAMERA) is None  # it rests


def test_without_the_package_a_lift_fails_before_it_begins(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pycolmap", None)
    with pytest.raises(Vid3dError, match=r"vid3d\[travel\]"):
        vid3d.lift("clip.mp4", travelling=True)


def test_a_file_of_keypoints_alone_has_no_way(tmp_path):
    pytest.importorskip("pycolmap")
    with pytest.raises(Vid3dError, match="give the video"):
        vid3d.lift(keypoints=tmp_path / "seen.json", travelling=True)


def test_a_way_begins_in_the_origin_and_ends_where_it_ended():
    """Places in another frame and unit; the steady camera did not know of the turn by 3 degrees."""
    rotations = np.stack([turn(10), turn(11.5), turn(13)])
    other = turn(30, 20)
    placed = Placed(
        np.array([1, 2, 4]),
        rotations.swapaxes(1, 2) @ other,
        np.array([[1, 1, 1], [2, 1, 1], [3, 1, 3.0]]),
    )
    turns = [turn(0), turn(10), turn(10), turn(10), turn(10)]
    way = Way.of(placed, turns, np.arange(5.0), np.arange(0, 5, 0.5))
    np.testing.assert_allclose(way.position[0], 0, atol=1e-12)
    np.testing.assert_allclose(way.position[2], 0, atol=1e-12)
    np.testing.assert_allclose(way.position[-2], other @ [2, 0, 2] @ np.eye(3), atol=1e-9)
    np.testing.assert_allclose(way.turn[0], np.eye(3), atol=1e-12)
    np.testing.assert_allclose(way.turn[-1], turn(3), atol=1e-9)
    steady = np.broadcast_to(turn(10).T, (10, 3, 3))
    np.testing.assert_allclose(way.rotation(steady)[-1], turn(13).T, atol=1e-6)


def walking(frames=100):
    """Joints (F, 17, 3) of somebody who walks to the right, one foot after the other."""
    step, speed = 0.5, 1.2
    seconds = np.arange(frames) / FPS
    joints = standing(np.stack([speed * seconds - 2, np.full(frames, 5.0)], -1)[None])[0]
    for foot, joint in enumerate((3, 6)):
        phase = seconds / step + foot
        within = np.clip(phase % 2, 0, 1)  # moves in the first half of two steps, then stands
        joints[:, joint, 0] = speed * step * (2 * (phase // 2) + 2 * within - foot) - 2
    return joints


@settings(max_examples=20, deadline=None)
@given(st.floats(0.02, 50), st.floats(-180, 180), st.floats(0.2, 2), st.booleans())
def test_feet_that_stand_tell_the_scale(unit, bearing, speed, walks):
    joints = walking() if walks else np.repeat(walking()[:1], 100, 0)
    ahead = np.array([np.cos(np.radians(bearing)), 0, np.sin(np.radians(bearing))])
    positions = speed * np.arange(100)[:, None] / FPS * ahead
    way = Way(np.broadcast_to(np.eye(3), (100, 3, 3)), positions / unit)
    assert pace(way, [stretch_of(joints - positions[:, None])]) == pytest.approx(unit, rel=0.05)


def stretch_of(joints):
    frames = len(joints)
    unsure = np.full((frames, 17), 0.02)
    return Stretch(
        0,
        np.arange(frames) / FPS,
        joints.astype(np.float32),
        unsure,
        unsure[:, 0],
        np.ones((frames, 2)),
    )


def test_a_camera_that_rests_has_no_pace():
    way = Way(np.broadcast_to(np.eye(3), (100, 3, 3)), np.zeros((100, 3)))
    assert pace(way, [stretch_of(walking())]) == 0
    assert pace(replace(way, position=np.ones((100, 3)) * np.arange(100)[:, None]), []) == 0


def test_nobody_tells_the_pace_of_a_camera_that_rests_while_they_are_seen():
    noise = 1e-4 * np.random.default_rng(0).standard_normal((300, 3))
    places = np.concatenate([np.zeros((150, 3)), np.linspace([0, 0, 0], [0, 0, 10], 150)])
    way = Way(np.broadcast_to(np.eye(3), (300, 3, 3)), places + noise)
    assert pace(way, [stretch_of(walking())]) == 0


def test_a_way_takes_people_along():
    """Somebody who stands, seen by a camera that turns and travels, stands again."""
    positions, rotations = away(30)
    still = np.repeat(walking()[:1], 30, 0)
    seen = (still - positions[:, None]) @ rotations.swapaxes(1, 2)
    steady = np.broadcast_to(np.eye(3), (30, 3, 3))
    way = Way(rotations.swapaxes(1, 2), positions)
    np.testing.assert_allclose(way.along(stretch_of(seen)).joints3d, still, atol=1e-5)
    motion = replace(
        make_motion(still[None]), camera_rotation=way.rotation(steady), camera_position=positions
    )
    np.testing.assert_allclose(from_camera(motion, motion.joints3d)[0], seen, atol=1e-5)
    np.testing.assert_allclose(from_camera(motion, motion.joints3d[:, 7], 7)[0], seen[7], atol=1e-5)


def travelled():
    """Two who stand in one place while the camera goes past them."""
    joints = standing(np.tile([[[-0.5, 4.0]], [[0.8, 5.0]]], (1, 40, 1)))
    positions = np.stack([np.linspace(0, 1.5, 40), np.zeros(40), np.zeros(40)], -1)
    return replace(make_motion(joints), camera_position=positions.astype(np.float32))


def test_files_of_a_camera_that_travelled(tmp_path):
    motion = travelled()
    assert moved(motion)
    assert farthest(motion) == pytest.approx(1.5)
    path = motion.save(tmp_path / "m.vid3d.npz")
    again = Motion.load(path)
    np.testing.assert_array_equal(again.camera_position, motion.camera_position)
    document = json.loads(motion.save_json(tmp_path / "m.json").read_text(encoding="utf-8"))
    np.testing.assert_allclose(document["camera_position"], motion.camera_position, atol=1e-6)
    assert "first look" in document["meta"]["axes"]
    rests = replace(motion, camera_position=np.zeros(3, np.float32))
    with np.load(rests.save(tmp_path / "r.vid3d.npz")) as arrays:
        assert "camera_position" not in arrays


@pytest.mark.parametrize(
    "position", [np.zeros((40, 2)), np.full((40, 3), np.nan), np.zeros(40, int)]
)
def test_a_position_that_is_none_is_refused(tmp_path, position):
    with pytest.raises(Vid3dError, match="camera_position"):
        replace(travelled(), camera_position=position).save(tmp_path / "m.vid3d.npz")


def test_people_scale_about_where_the_camera_was():
    stretch = next(travelled().stretches(0))
    eyes = travelled().camera_position
    grown = stretch.scaled(1.5, eyes)
    before, after = ((one.joints3d - eyes[:, None]) for one in (stretch, grown))
    np.testing.assert_allclose(after, 1.5 * before, atol=1e-5)


def test_the_floor_is_found_by_a_camera_that_travels():
    """One of five is lifted a tenth too near, by a camera that goes 3 m nearer."""
    places = [(0.3, 6.0), (-1, 4.5), (1, 5), (0, 6.5), (2, 7)]
    joints = standing(np.tile(np.array(places)[:, None], (1, 60, 1)))
    eyes = np.stack([np.zeros(60), np.zeros(60), np.linspace(0, 3, 60)], -1)
    lifted = joints.copy()
    lifted[0] = eyes[:, None] + 0.9 * (joints[0] - eyes[:, None])
    motion = replace(make_motion(lifted), camera_position=eyes.astype(np.float32))
    settled = settle(motion, smooth=0, sized=[2, 3, 4, 5])
    ground, as_it_is = settled.meta["ground"], settle(make_motion(joints)).meta["ground"]
    np.testing.assert_allclose(ground["normal"], as_it_is["normal"], atol=0.02)
    assert ground["height"] == pytest.approx(as_it_is["height"], abs=0.1)
    ankles = settled.joints3d[0, :, [3, 6]]
    assert np.ptp(ankles, axis=1).max() < 0.05  # it was 0.3 m as lifted
    assert np.abs(ankles - joints[0, :, [3, 6]]).max() < 0.2  # it was 0.6 m


def test_a_foot_seen_from_many_places_stands_in_one():
    eyes = np.stack([np.linspace(-2, 2, 50), np.zeros(50), np.zeros(50)], -1)
    foot = np.tile([0.2, 1.4, 3.0], (50, 1))
    near = eyes + 0.95 * (foot - eyes)
    ground = Ground(np.array([0.0, -1.0, 0.0]), 1.5, 1.0)
    assert steps(foot, np.arange(50) / FPS, eyes=eyes) == [(0, 50)]
    place = anchor_place(near, ground, eyes)
    assert abs(place[0] - 0.2) < 0.1
    assert abs(place[1] - 1.4) < 0.06


def test_exports_of_a_camera_that_travels(tmp_path):
    from pxr import Usd, UsdGeom
    from pygltflib import GLTF2

    space = Space(CAMERA_TO_Y_UP, np.zeros(3))
    glb, usd = export(travelled(), ["glb", "usd"], tmp_path, "m", space)[:2]
    document = GLTF2().load(str(glb))
    camera = next(i for i, node in enumerate(document.nodes) if node.name == "camera")
    channels = document.animations[0].channels
    assert [c.target.path for c in channels if c.target.node == camera] == ["translation"]
    stage = Usd.Stage.Open(str(usd))
    lens = UsdGeom.Xformable(stage.GetPrimAtPath("/vid3d/camera"))
    first, last = (np.array(lens.GetLocalTransformation(frame))[3, :3] for frame in (0, 39))
    np.testing.assert_allclose(last - first, [1.5, 0, 0], atol=1e-4)


def test_a_video_of_a_camera_that_travels(tmp_path):
    """A room filmed by somebody who walks past one who stands; keypoints are given."""
    pytest.importorskip("pycolmap")
    positions, rotations = away(41)
    body = BODY + [0.4, 0.55, 5]
    looks = []
    with VideoWriter(tmp_path / "walk.mp4", FPS, SIZE) as writer:
        for frame, (position, rotation) in enumerate(zip(positions, rotations, strict=True)):
            writer.write(room(position, rotation), frame / FPS)
            if frame % 5 == 0:
                pixels = CAMERA.project((body - position) @ rotation.T).astype(np.float32)
                box = np.concatenate([pixels.min(0), pixels.max(0)])
                one = People(
                    boxes=box[None], scores=np.ones(1, np.float32), keypoints=pixels[None],
                    confidence=np.full((1, 17), 0.9, np.float32), ids=np.ones(1, np.int64),
                )  # fmt: skip
                looks.append(Look(frame, frame / FPS, one))
    write_keypoints(tmp_path / "k.json", KeypointClip("walk", looks, "h36m17", 41, FPS, SIZE))
    motion = vid3d.lift(
        tmp_path / "walk.mp4", keypoints=tmp_path / "k.json", fov=60, travelling=True
    )
    away_by = np.linalg.norm(motion.camera_position[-1])
    assert away_by == pytest.approx(np.linalg.norm(positions[-1]), rel=0.15)
    ankles = motion.joints3d[0, :, [3, 6]]
    assert np.linalg.norm(ankles - np.median(ankles, 1, keepdims=True), axis=-1).max() < 0.15
    still = vid3d.lift(tmp_path / "walk.mp4", keypoints=tmp_path / "k.json", fov=60)
    assert np.ptp(still.joints3d[0, :, 0], axis=0).max() > 0.5
    seen = from_camera(motion, motion.joints3d)[0, motion.keyframes]
    shown = motion.keypoints2d[0, :, :, :2]
    assert np.median(np.linalg.norm(motion.camera.project(seen) - shown, axis=-1)) < 8


@pytest.mark.parametrize("stride", [6, "auto"])
def test_every_look_has_its_picture(repo, tmp_path, monkeypatch, stride):
    """Also where a file's last look is off its stride and not the video's last frame."""
    pytest.importorskip("pycolmap")
    seen = []
    monkeypatch.setattr(
        "vid3d.survey.place_cameras", lambda looks, *_: seen.extend(one.index for one in looks)
    )
    video = repo / "tests/data/tiny.mp4"
    options = LiftOptions(stride=stride, end=0.5)
    Pipeline(options).detect(video, tmp_path / "seen.json")
    whole = vid3d.lift(video, keypoints=tmp_path / "seen.json", stride=1, travelling=True)
    assert seen == list(range(len(whole.keyframes)))
    seen.clear()
    part = vid3d.lift(video, stride=stride, end=0.5, travelling=True)
    assert seen == list(range(len(part.keyframes)))
    assert whole.frames > part.frames


def test_too_long_a_clip_is_said(repo, monkeypatch):
    pytest.importorskip("pycolmap")
    monkeypatch.setattr("vid3d.survey.MOST_LOOKS", 2)
    monitor = Monitor()
    vid3d.lift(repo / "tests/data/tiny.mp4", travelling=True, monitor=monitor)
    assert any("looks are too many" in text for text in monitor.warnings)


def test_a_way_that_is_not_found_is_said(tmp_path, monkeypatch, repo):
    pytest.importorskip("pycolmap")
    monkeypatch.setattr("vid3d.survey.place_cameras", lambda *_: None)
    monitor = Monitor()
    motion = vid3d.lift(repo / "tests/data/tiny.mp4", travelling=True, monitor=monitor)
    assert any("way of the camera was not found" in text for text in monitor.warnings)
    assert farthest(motion) == 0
