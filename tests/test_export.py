"""Every format is read back with a reader that is not ours."""

import csv
import json
import struct
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from motion_toys import make_motion, standing, walk
from scipy.spatial.transform import Rotation

from vid3d.camera import Camera
from vid3d.data.pairs import read_pairs
from vid3d.errors import Vid3dError
from vid3d.export import FORMATS, export
from vid3d.export.clock import steady
from vid3d.export.figure import figure, side_colors
from vid3d.export.rig import JOINTS, NAMES, PLACES, height
from vid3d.export.space import Space, export_space
from vid3d.export.take import Take
from vid3d.motion import Motion
from vid3d.skeleton import H36M17

FRAMES, FPS = 40, 30.0
GAP = slice(20, 26)
"""Frames in which the second person is absent; they also arrive late and leave early."""
ABOVE = Space(np.diag([1.0, -1.0, -1.0]), np.array([0.0, 1.4, 0.0]))
HEAD = H36M17.index("head")


@pytest.fixture(scope="module")
def motion(repo):
    """The sample's two people, the second absent at times."""
    truth = read_pairs(repo / "samples" / "two_people.pairs.npz")
    joints = np.stack([sequence.joints3d[100 : 100 + FRAMES] for sequence in truth])
    present = np.ones((2, FRAMES), bool)
    present[1, :5] = present[1, GAP] = present[1, 37:] = False
    joints[~present] = np.nan
    camera = Camera(truth[0].camera.intrinsics, (1280, 720))
    return Motion(
        joints3d=joints,
        present=present,
        spread=np.where(present[..., None], np.linspace(0.01, 0.1, 17), np.nan),
        root_spread=np.where(present, 0.1, np.nan),
        contacts=np.repeat(present[..., None], 2, axis=-1),
        keyframes=np.array([0, FRAMES - 1]),
        keypoints2d=np.full((2, 2, 17, 3), np.nan),
        track_ids=np.array([1, 4]),
        timestamps=np.arange(FRAMES) / FPS,
        intrinsics=camera.intrinsics,
        frame_size=np.array([1280, 720]),
        meta={"fps": FPS, "vid3d": "0.1.0", "source": {"name": "clip.mp4"}},
    )


@pytest.fixture(scope="module")
def folder(motion, tmp_path_factory):
    """Everything exported, y up, the camera 1.4 m above the floor."""
    where = tmp_path_factory.mktemp("export")
    formats = [name for name in FORMATS if name not in ("c3d", "usd")]
    export(motion, formats, where, "clip", ABOVE)
    return where


@pytest.fixture(scope="module")
def summary(folder):
    return json.loads((folder / "clip.export.json").read_text())


def placed(motion):
    return motion.joints3d * [1, -1, -1] + [0, 1.4, 0]


def frames_of(motion, person):
    here = np.flatnonzero(motion.present[person])
    return slice(here[0], here[-1] + 1)


def read_bvh(path):
    """Joint names, rest places, places (F, J, 3) and the frame time, by bvhio's own FK."""
    bvhio = pytest.importorskip("bvhio")
    raw = bvhio.readAsBvh(str(path))
    root = bvhio.convertBvhToHierarchy(raw.Root)
    layout = [joint for joint, _, _ in root.layout()]
    places = []
    for frame in range(raw.FrameCount):
        root.loadPose(frame)
        places.append([list(joint.PositionWorld) for joint in layout])
    return [joint.Name for joint in layout], np.array(places), raw.FrameTime


@pytest.mark.parametrize(("person", "track_id"), [(0, 1), (1, 4)])
def test_bvh_moves_as_the_motion(motion, folder, summary, person, track_id):
    names, places, frame_time = read_bvh(folder / f"clip.person{track_id}.bvh")
    assert [name for name in names if name in NAMES] == list(bvh_order())
    assert frame_time == pytest.approx(1 / FPS, abs=1e-8)
    span = frames_of(motion, person)
    here = motion.present[person, span]
    assert len(places) == len(here)
    wanted = placed(motion)[person, span]
    rows = [names.index(JOINTS[place].name) for place in PLACES if place >= 0]
    joints = [joint for joint in range(17) if joint != HEAD]
    errors = 1000 * np.linalg.norm(places[:, rows] - wanted[:, joints], axis=-1)[here]
    reported = summary["people"][person]["rig_residual_mm"]
    assert errors.max() <= reported["max"] + 0.1
    assert errors.mean() <= reported["mean"] * 17 / 16 + 0.1
    assert reported["mean"] < 6
    assert reported["max"] < 60


def test_bvh_bridges_gaps_and_bones_are_rigid(motion, folder):
    names, places, _ = read_bvh(folder / "clip.person4.bvh")
    arm, elbow, foot = (places[:, names.index(n)] for n in ("LeftArm", "LeftForeArm", "LeftFoot"))
    lengths = np.linalg.norm(arm - elbow, axis=-1)
    np.testing.assert_allclose(lengths, lengths[0], atol=1e-4)
    gap = foot[GAP.start - 5 : GAP.stop - 5]
    assert np.abs(np.diff(gap, axis=0)).max() < 0.1
    assert (np.linalg.norm(places, axis=-1) > 1).all()  # nobody is at the origin


def bvh_order(joint=0):
    yield NAMES[joint]
    for child, of in enumerate(JOINTS):
        if of.parent == NAMES[joint]:
            yield from bvh_order(child)


def test_bvh_units_and_up(motion, tmp_path):
    export(motion, ["bvh"], tmp_path, "clip", ABOVE.turned("z"), units="cm")
    names, places, _ = read_bvh(tmp_path / "clip.person1.bvh")
    wanted = placed(motion)[0][:, 0] @ np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]])
    np.testing.assert_allclose(places[:, names.index("Hips")], 100 * wanted, atol=3)
    assert places[..., 2].min() > -10
    files = json.loads((tmp_path / "clip.export.json").read_text())["files"]
    assert files["clip.person1.bvh"]["units"] == "cm"
    assert files["clip.person1.bvh"]["axes"].endswith("z up")


def test_every_file_says_the_transform_to_its_own_frame(motion, tmp_path):
    export(motion, ["glb", "trc", "json"], tmp_path, "clip", ABOVE.turned("z"))
    files = json.loads((tmp_path / "clip.export.json").read_text())["files"]
    up = np.array([0.0, -1.0, 0.0])  # of the camera, which ABOVE holds level
    for name, wanted in (
        ("clip.glb", [0, 1, 0]),  # whatever is asked for
        ("clip.person1.trc", [0, 0, 1]),
        ("clip.vid3d.json", [0, -1, 0]),
    ):
        rotation, shift = np.array(files[name]["rotation"]), np.array(files[name]["translation"])
        np.testing.assert_allclose(rotation @ up, wanted, atol=1e-5)
        height = 0 if name.endswith("json") else ABOVE.translation[1]
        np.testing.assert_allclose(shift @ wanted, height, atol=1e-5)


def test_glb_by_pygltflib(motion, folder):
    pygltflib = pytest.importorskip("pygltflib")
    gltf = pygltflib.GLTF2().load(str(folder / "clip.glb"))
    blob = gltf.binary_blob()

    def array(index):
        accessor = gltf.accessors[index]
        view = gltf.bufferViews[accessor.bufferView]
        dtype = {5126: "<f4", 5123: "<u2", 5121: "u1"}[accessor.componentType]
        width = {"SCALAR": 1, "VEC3": 3, "VEC4": 4, "MAT4": 16}[accessor.type]
        flat = np.frombuffer(blob, dtype, accessor.count * width, view.byteOffset)
        return flat.reshape(accessor.count, width)

    assert [node.name for node in gltf.nodes if node.skin is not None] == [
        "person1_body", "person4_body",
    ]  # fmt: skip
    assert [len(skin.joints) for skin in gltf.skins] == [19, 19]
    assert gltf.asset.extras["units"] == "metres"
    assert "y up" in gltf.asset.extras["frame"]["axes"]
    lens = gltf.cameras[0].perspective
    assert np.degrees(lens.yfov) == pytest.approx(2 * np.degrees(np.arctan(360 / 1108.5)), abs=0.1)
    assert lens.aspectRatio == pytest.approx(1280 / 720, rel=1e-3)
    hips = gltf.skins[1].joints[0]
    channels = {
        channel.target.path: gltf.animations[0].samplers[channel.sampler]
        for channel in gltf.animations[0].channels
        if channel.target.node == hips
    }
    times = array(channels["translation"].input)[:, 0]
    np.testing.assert_allclose(times, motion.timestamps[5:37], atol=1e-6)
    seen = motion.present[1, 5:37]
    places = array(channels["translation"].output)
    np.testing.assert_allclose(places[seen], placed(motion)[1, 5:37, 0][seen], atol=0.03)
    np.testing.assert_allclose(*first_wrists(gltf, motion), atol=0.05)
    assert channels["scale"].interpolation == "STEP"
    keys, shown = array(channels["scale"].input)[:, 0], array(channels["scale"].output)[:, 0]
    np.testing.assert_allclose(keys * FPS, [0, 5, 20, 26, 37], atol=1e-4)
    np.testing.assert_array_equal(shown, [0, 1, 0, 1, 0])


def first_wrists(gltf, motion):
    """Left wrists in each person's first frame: by the file's nodes, and the motion's."""
    parents = {c: i for i, node in enumerate(gltf.nodes) for c in node.children or []}
    found = []
    for skin in gltf.skins:
        node = next(i for i in skin.joints if gltf.nodes[i].name == "LeftHand")
        point = np.zeros(3)
        while node is not None:
            turn = Rotation.from_quat(gltf.nodes[node].rotation or [0, 0, 0, 1])
            point = turn.apply(point) + (gltf.nodes[node].translation or [0, 0, 0])
            node = parents.get(node)
        found.append(point)
    wrist = H36M17.index("left_wrist")
    return np.array(found), placed(motion)[[0, 1], [0, 5], wrist]


def test_glb_mesh_by_trimesh(motion, folder):
    trimesh = pytest.importorskip("trimesh")
    scene = trimesh.load(folder / "clip.glb")
    for mesh in scene.geometry.values():
        mesh.merge_vertices()
        assert mesh.is_winding_consistent
        assert mesh.volume > 0  # normals look outwards
    points = np.concatenate([m.vertices for n, m in scene.geometry.items() if "person1" in n])
    figure = Take(motion, ABOVE).animations[0]
    assert np.ptp(points[:, 1]) == pytest.approx(height(figure.rig), abs=0.02)
    camera = scene.graph.get("camera")[0]
    np.testing.assert_allclose(camera[:3], np.c_[np.eye(3), [0, 1.4, 0]], atol=1e-6)


def test_csv_by_a_table_reader(motion, folder):
    with open(folder / "clip.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 17 * int(motion.present.sum())
    assert {row["up"] for row in rows} == {"y"}
    assert {row["frame"] for row in rows if row["person"] == "4"}.isdisjoint(
        map(str, range(20, 26))
    )
    row = rows[17 * 7 + 3]
    assert (row["joint"], row["person"], float(row["time_s"])) == (
        "right_ankle", "1", pytest.approx(7 / FPS, abs=1e-6),
    )  # fmt: skip
    place = [float(row[key]) for key in ("x_m", "y_m", "z_m")]
    np.testing.assert_allclose(place, placed(motion)[0, 7, 3], atol=1e-5)


def trc_cells(line):
    """Cells as OpenSim counts them: what follows the last tab is one only if it is not empty."""
    return line.removesuffix("\t").split("\t")


def test_trc_by_a_table_reader(motion, folder):
    lines = (folder / "clip.person4.trc").read_text().split("\n")
    heads = dict(zip(lines[1].split("\t"), lines[2].split("\t"), strict=True))
    assert (heads["Units"], heads["NumMarkers"], heads["NumFrames"]) == ("m", "17", "32")
    assert float(heads["DataRate"]) == FPS
    assert tuple(trc_cells(lines[3])[2::3]) == H36M17.joints
    assert len(trc_cells(lines[4])) == 2 + 51
    table = np.array(
        [[float(cell) if cell else np.nan for cell in trc_cells(line)] for line in lines[6:-1]]
    )
    assert table.shape == (32, 2 + 51)
    np.testing.assert_allclose(table[:, 1], np.arange(5, 37) / FPS, atol=1e-6)
    points = table[:, 2:].reshape(-1, 17, 3)
    np.testing.assert_allclose(points, placed(motion)[1, 5:37], atol=1e-5)
    assert np.isnan(points[15:21]).all()


def test_c3d_by_another_reader(motion, tmp_path):
    pytest.importorskip("ezc3d")
    c3d = pytest.importorskip("c3d")
    export(motion, ["c3d"], tmp_path, "clip", ABOVE)
    with open(tmp_path / "clip.c3d", "rb") as file:
        reader = c3d.Reader(file)
        labels = [label.strip() for label in reader.point_labels]
        assert reader.point_rate == FPS
        assert reader.get("POINT:UNITS").string_value.strip() == "mm"
        assert reader.get("POINT:Y_SCREEN").string_value.strip() == "+Y"
        frames = np.array([points for _, points, _ in reader.read_frames()])
    assert labels == [f"person{i}:{joint}" for i in (1, 4) for joint in H36M17.joints]
    assert len(frames) == FRAMES
    points = frames[..., :3].reshape(FRAMES, 2, 17, 3).swapaxes(0, 1)
    wanted, here = 1000 * placed(motion), motion.present
    np.testing.assert_allclose(points[here], wanted[here], atol=0.01)
    residual = frames[..., 3].reshape(FRAMES, 2, 17).swapaxes(0, 1)
    assert (residual[~here] == -1).all()
    assert (residual[here] >= 0).all()


@pytest.mark.parametrize(("units", "metre"), [("mm", 1000), ("cm", 100), ("m", 1)])
def test_c3d_residuals_are_the_spread_in_all_units(motion, tmp_path, units, metre):
    ezc3d = pytest.importorskip("ezc3d")
    spread = motion.spread.copy()
    spread[0, :, 3] = 0.6  # more than a byte of millimetres
    export(replace(motion, spread=spread), ["c3d"], tmp_path, "clip", ABOVE, units=units)
    data = ezc3d.c3d(str(tmp_path / "clip.c3d"))["data"]
    residual = data["meta_points"]["residuals"][0].reshape(2, 17, FRAMES).swapaxes(1, 2)
    here = motion.present
    expected = metre * spread[here].clip(0, 0.255)
    np.testing.assert_allclose(residual[here], expected, atol=0.0011 * metre)
    points = data["points"][:3].reshape(3, 2, 17, FRAMES).transpose(1, 3, 2, 0)
    np.testing.assert_allclose(points[here], metre * placed(motion)[here], rtol=1e-5, atol=1e-5)


def test_c3d_names_as_many_people_as_its_parameters_hold(motion, tmp_path):
    """The section counts its blocks in one byte; one more than fit made a file nobody reads."""
    pytest.importorskip("ezc3d")
    most = 200

    def crowd(people):
        joints = np.broadcast_to(motion.joints3d[:1, :1], (people, 1, 17, 3))
        return make_motion(joints, track_ids=np.arange(people) + 1_000_000)

    export(crowd(most), ["c3d"], tmp_path, "clip", ABOVE)
    header = (tmp_path / "clip.c3d").read_bytes()[:515]
    assert 2 + header[514] == int.from_bytes(header[16:18], "little")  # where the data begin
    with pytest.raises(Vid3dError, match="200 people at most, these are 201"):
        export(crowd(most + 1), ["c3d"], tmp_path, "more", ABOVE)
    assert not (tmp_path / "more.c3d").exists()


def test_c3d_counts_no_further_than_its_header(motion, tmp_path, monkeypatch):
    pytest.importorskip("ezc3d")
    monkeypatch.setattr("vid3d.export.c3d.MOST_FRAMES", FRAMES - 1)
    with pytest.raises(Vid3dError, match="counts 39 frames at most, these are 40"):
        export(motion, ["c3d"], tmp_path, "clip", ABOVE)
    assert not (tmp_path / "clip.c3d").exists()


def test_names_in_other_alphabets(motion, tmp_path):
    export(motion, ["trc", "bvh", "csv", "glb"], tmp_path, "größe 走る", ABOVE)
    text = (tmp_path / "größe 走る.person1.trc").read_text(encoding="utf-8")
    assert text.splitlines()[0].endswith("größe 走る.person1.trc")


def test_who_is_there_between_two_ticks_is_not_lost(motion):
    times = np.cumsum([0, *np.tile([0.02, 0.06], FRAMES)[: FRAMES - 1]])
    present = motion.present.copy()
    present[1] = False
    present[1, 5] = True
    joints = np.where(present[..., None, None], motion.joints3d, np.nan)
    joints[1, 5] = 1.0
    even = steady(replace(motion, timestamps=times, present=present, joints3d=joints, meta={}))
    (tick,) = np.flatnonzero(even.present[1])
    assert abs(even.timestamps[tick] - times[5]) <= 0.5 / even.fps + 1e-9
    np.testing.assert_allclose(even.joints3d[1, tick], 1.0)


def test_usd_by_openusd(motion, tmp_path):
    pytest.importorskip("pxr")
    from pxr import Usd, UsdGeom, UsdShade, UsdSkel

    export(motion, ["usd"], tmp_path, "clip", ABOVE.turned("z"))
    stage = Usd.Stage.Open(str(tmp_path / "clip.usdc"))
    assert UsdGeom.GetStageUpAxis(stage) == "Z"
    assert UsdGeom.GetStageMetersPerUnit(stage) == 1
    assert stage.GetTimeCodesPerSecond() == FPS
    lens = UsdGeom.Camera.Get(stage, "/vid3d/camera").GetCamera()
    assert lens.GetFieldOfView(lens.FOVHorizontal) == pytest.approx(60, abs=0.1)
    film = UsdGeom.Camera.Get(stage, "/vid3d/camera").GetHorizontalApertureAttr().Get()
    assert film / 10 == pytest.approx(0.036)  # in tenths of the stage's unit, a metre
    person = UsdGeom.Imageable.Get(stage, "/vid3d/person4")
    shown = [person.ComputeVisibility(frame) == "inherited" for frame in range(FRAMES)]
    np.testing.assert_array_equal(shown, motion.present[1])
    body = np.array(UsdGeom.Mesh.Get(stage, "/vid3d/person1/body").GetPointsAttr().Get())
    rig = Take(motion, ABOVE).animations[0].rig
    np.testing.assert_allclose(np.ptp(body[:, 2]), height(rig), atol=0.02)
    mesh = UsdShade.MaterialBindingAPI(stage.GetPrimAtPath("/vid3d/person1/body"))
    looks = {}
    for subset in mesh.GetMaterialBindSubsets():
        material = UsdShade.MaterialBindingAPI(subset.GetPrim()).ComputeBoundMaterial()[0]
        color = material.ComputeSurfaceSource()[0].GetInput("diffuseColor").Get()
        looks[subset.GetPrim().GetName()] = (len(subset.GetIndicesAttr().Get()), color)
    shape = figure(rig)
    assert {side: count for side, (count, _) in looks.items()} == {
        side: len(faces) for side, faces in shape.faces.items()
    }
    for side, wanted in side_colors(0).items():
        np.testing.assert_allclose(looks[side][1], wanted, atol=1e-6)
    cache = UsdSkel.Cache()
    skeleton = UsdSkel.Skeleton.Get(stage, "/vid3d/person1/skeleton")
    cache.Populate(UsdSkel.Root.Get(stage, "/vid3d/person1"), Usd.TraverseInstanceProxies())
    query = cache.GetSkelQuery(skeleton)
    places = np.array([np.array(matrix)[3, :3] for matrix in query.ComputeJointSkelTransforms(12)])
    rows = [place for place in PLACES if place >= 0]
    joints = [joint for joint in range(17) if joint != HEAD]
    wanted = motion.joints3d[0, 12, joints][:, [0, 2, 1]] * [1, 1, -1] + [0, 0, 1.4]
    np.testing.assert_allclose(places[rows], wanted, atol=0.03)


def test_json_and_npz_are_the_motions_own(motion, folder):
    again = Motion.load(folder / "clip.vid3d.npz")
    np.testing.assert_array_equal(again.joints3d, motion.joints3d)
    stated = json.loads((folder / "clip.vid3d.json").read_text())["meta"]["export_frame"]
    assert stated == again.meta["export_frame"]
    point = np.array(stated["rotation"]) @ again.joints3d[0, 0, 0] + stated["translation"]
    np.testing.assert_allclose(point, placed(motion)[0, 0, 0], atol=1e-5)


def test_uneven_times_become_a_constant_rate(motion, tmp_path):
    """A frame is dropped here and there: the file's constant rate still shows the same motion."""
    kept = np.delete(np.arange(FRAMES), [3, 4, 11, 30])
    fields = {name: getattr(motion, name)[:, kept]
              for name in ("joints3d", "present", "spread", "root_spread", "contacts")}  # fmt: skip
    uneven = replace(motion, **fields, timestamps=motion.timestamps[kept],
                     keyframes=np.array([0, len(kept) - 1]))  # fmt: skip
    written = export(uneven, ["trc", "csv"], tmp_path, "clip", ABOVE)
    lines = next(p for p in written if p.name == "clip.person1.trc").read_text().split("\n")[6:-1]
    table = np.array([[float(cell) for cell in trc_cells(line)] for line in lines])
    np.testing.assert_allclose(table[:, 1], np.arange(FRAMES) / FPS, atol=1e-6)
    np.testing.assert_allclose(table[:, 2:].reshape(-1, 17, 3), placed(motion)[0], atol=0.03)
    assert json.loads(written[-1].read_text())["resampled"]
    with open(tmp_path / "clip.csv", newline="") as file:
        times = sorted({float(row["time_s"]) for row in csv.DictReader(file)})
    np.testing.assert_allclose(times, uneven.timestamps, atol=1e-6)  # true times


@pytest.mark.parametrize("rounded", [9, 3])  # decimals: Matroska notes milliseconds
def test_dropped_frames_leave_the_rate_that_was_filmed_at(motion, rounded):
    kept = np.delete(np.arange(FRAMES), [3, *range(12, 17)])
    fields = {name: getattr(motion, name)[:, kept]
              for name in ("joints3d", "present", "spread", "root_spread", "contacts")}  # fmt: skip
    times = motion.timestamps[kept].round(rounded)
    mean = {"fps": (len(kept) - 1) / (times[-1] - times[0])}
    dropped = replace(motion, **fields, timestamps=times, meta=mean,
                      keyframes=np.array([0, len(kept) - 1]))  # fmt: skip
    even = steady(dropped)
    assert even.fps == pytest.approx(FPS, rel=1e-6 if rounded == 9 else 1e-3)
    np.testing.assert_allclose(even.timestamps, motion.timestamps, atol=2e-3)
    there = even.present[:, kept] & dropped.present
    assert there.sum() == dropped.present.sum()
    np.testing.assert_allclose(even.joints3d[:, kept][there], dropped.joints3d[there], atol=5e-3)


@pytest.mark.parametrize("apart", [1 / 90_000, 2e-6])
def test_frames_microseconds_apart_throw_nobody_about(apart):
    """Of two such frames the second is 1 mm off: no curve is to follow that at 100 m/s."""
    times = np.insert(np.arange(20) / 25, 10, 9 / 25 + apart)
    places = np.full((1, 21, 2), (0.0, 4.0))
    places[0, 10, 0] = 0.001
    even = steady(make_motion(standing(places), timestamps=times, meta={}))
    assert len(np.unique(np.diff(even.timestamps).round(9))) == 1
    still = standing(np.full((1, even.frames, 2), (0.0, 4.0)))
    np.testing.assert_allclose(even.joints3d, still, atol=2e-3)


def test_cameras_of_two_shots_are_not_blended():
    """The film is cut between frames 9 and 10, at an uneven rate; a tick falls between them."""
    times = np.arange(20) / 25
    times[10:] += 0.017
    second = np.arange(20) >= 10
    turns = np.tile(np.eye(3, dtype=np.float32), (20, 1, 1))
    turns[second] = Rotation.from_euler("x", -30, degrees=True).as_matrix()
    film = make_motion(
        np.where(second[:, None, None], np.nan, standing(np.full((1, 20, 2), (0.0, 4.0)))),
        timestamps=times,
        camera_rotation=turns,
        camera_position=np.float32([0, -3, 0]) * second[:, None].astype(np.float32),
        camera_zoom=np.where(second, 2, 1).astype(np.float32),
        meta={"cuts": [round(float(times[10]), 3)]},
    )
    even = steady(film)
    # 19 / times[-1] a second: frame 9 at 0.368 s, before the middle of 0.36 and 0.417; 10 after it.
    assert times[9] < even.timestamps[9] < 0.38
    assert 0.40 < even.timestamps[10] < times[10]
    np.testing.assert_allclose(even.camera_rotation, turns, atol=1e-6)
    np.testing.assert_allclose(even.camera_position[:, 1], -3 * second, atol=1e-6)
    np.testing.assert_allclose(even.camera_zoom, 1 + second, atol=1e-6)


def test_c3d_s_limits_are_found_before_anything_is_written(tmp_path, monkeypatch):
    pytest.importorskip("ezc3d")
    for limit, words in (("MOST_PEOPLE", "1 people at most"), ("MOST_FRAMES", "1 frames at most")):
        with monkeypatch.context() as patch:
            patch.setattr(f"vid3d.export.c3d.{limit}", 1)
            with pytest.raises(Vid3dError, match=words):
                export(walk(), ["csv", "c3d", "json"], tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("rotation", "translation", "words"),
    [
        (np.eye(3), [0, np.nan, 0], "a finite translation"),
        (np.eye(3), [0, np.inf, 0], "a finite translation"),
        ("x", [0, 0, 0], "rotation of the export frame is 'x', expected an array of numbers"),
        (np.eye(3), "x", "translation of the export frame is 'x'"),
    ],
)
def test_what_is_no_export_frame(rotation, translation, words):
    with pytest.raises(Vid3dError, match=words):
        Space(rotation, translation)


def test_nobody_is_no_error(motion, tmp_path):
    empty = replace(
        motion,
        **{name: getattr(motion, name)[:0] for name in
           ("joints3d", "present", "spread", "root_spread", "contacts", "keypoints2d")},
        track_ids=np.empty(0, np.int64),
    )  # fmt: skip
    written = export(empty, list(FORMATS), tmp_path, "clip", ABOVE)
    assert not [path for path in written if path.suffix in (".bvh", ".trc")]
    assert all(path.stat().st_size for path in written)
    glb = (tmp_path / "clip.glb").read_bytes()
    length, size = struct.unpack_from("<I", glb, 8)[0], struct.unpack_from("<I", glb, 12)[0]
    assert length == len(glb) == 20 + size  # no buffer of no bytes, which glTF forbids
    assert "buffers" not in json.loads(glb[20:])


def test_frames_of_files(motion):
    level = export_space(motion, "y", "floor", floor=False)
    assert np.nanmin(level.place(motion.joints3d)[..., 1]) == pytest.approx(0.07, abs=0.05)
    np.testing.assert_array_equal(export_space(motion, "y", "camera").translation, 0)
    tall = level.turned("z").place(motion.joints3d)
    np.testing.assert_allclose(tall[..., 2], level.place(motion.joints3d)[..., 1], atol=1e-9)
    with pytest.raises(Vid3dError, match="without mirroring"):
        Space(np.diag([1.0, 1.0, -1.0]), np.zeros(3))


def test_command(motion, tmp_path):
    from vid3d.cli.export import command

    motion.save(tmp_path / "clip.vid3d.npz")
    arguments = [str(tmp_path / "clip.vid3d.npz"), "--to", "csv,trc", "-o", str(tmp_path / "out")]
    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "clip.csv", "clip.export.json", "clip.person1.trc", "clip.person4.trc",
    ]  # fmt: skip
    arguments[2] = "fbx"
    with pytest.raises(Vid3dError, match="unknown format 'fbx': choose from json, npz"):
        CliRunner().invoke(command, arguments, catch_exceptions=False)


def test_one_name_is_no_list_of_formats(motion, tmp_path):
    with pytest.raises(Vid3dError, match="formats is 'csv', expected a list of names"):
        export(motion, "csv", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_missing_packages_are_named(motion, tmp_path, monkeypatch):
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(Vid3dError, match=r"needs the package ezc3d: pip install 'vid3d\[c3d\]'"):
        export(motion, ["c3d"], tmp_path)
    assert not list(tmp_path.iterdir())


def test_formats_of_a_generator(tmp_path):
    written = export(walk(), (name for name in ["csv"]), tmp_path)
    assert [path.name for path in written] == ["motion.csv", "motion.export.json"]
