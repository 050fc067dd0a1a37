"""Readers of motion: BVH, ASF/AMC, AMASS beside hand-worked numbers and an independent reader."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vid3d.data.mocap import MOCAP_FPS, MotionClip, read_mocap, write_mocap
from vid3d.data.readers.acclaim import read_amc, read_asf
from vid3d.data.readers.building import DATA_SETS, build, inspect
from vid3d.data.readers.bvh import read_bvh
from vid3d.data.readers.captures import _skeleton_of
from vid3d.data.readers.clips import UPS, make_clip, resample, upward
from vid3d.data.readers.reading import Reading, files_below, stretches
from vid3d.data.readers.skeletons import Skeleton, find_joints, to_h36m17
from vid3d.data.readers.smpl import BODY, NAMES, PARENTS, BodyModel
from vid3d.errors import Vid3dError
from vid3d.skeleton import H36M17

# --- a person who stands: where joints are, metres, y up, facing z

REST = {
    "hips": (0, 1.0, 0), "spine": (0, 1.1, 0), "chest": (0, 1.3, 0), "neck": (0, 1.5, 0),
    "head": (0, 1.6, 0), "upleg": (0.1, 0.96, 0), "leg": (0.1, 0.54, 0), "foot": (0.1, 0.12, 0),
    "arm": (0.2, 1.5, 0), "forearm": (0.45, 1.5, 0), "hand": (0.7, 1.5, 0),
}  # fmt: skip
STYLES = {
    "mixamo": ("mixamorig:Hips", "mixamorig:Spine", "mixamorig:Spine1", "mixamorig:Neck",
               "mixamorig:Head", "mixamorig:{S}UpLeg", "mixamorig:{S}Leg", "mixamorig:{S}Foot",
               "mixamorig:{S}Arm", "mixamorig:{S}ForeArm", "mixamorig:{S}Hand"),
    "blender": ("hips", "spine", "chest", "neck", "head", "thigh.{L}", "shin.{L}", "foot.{L}",
                "upper_arm.{L}", "forearm.{L}", "hand.{L}"),
    "biped": ("Bip01", "Bip01_Spine", "Bip01_Spine1", "Bip01_Neck", "Bip01_Head",
              "Bip01_{L}_Thigh", "Bip01_{L}_Calf", "Bip01_{L}_Foot", "Bip01_{L}_UpperArm",
              "Bip01_{L}_Forearm", "Bip01_{L}_Hand"),
    "max": ("Bip001", "Bip001 Spine", "Bip001 Spine1", "Bip001 Neck", "Bip001 Head",
            "Bip001 {L} Thigh", "Bip001 {L} Calf", "Bip001 {L} Foot", "Bip001 {L} UpperArm",
            "Bip001 {L} Forearm", "Bip001 {L} Hand"),
    "spoken": ("pelvis", "belly", "chest", "Neck1", "Head", "{s}_hip", "{s}_knee", "{s}_ankle",
               "{s}_shoulder", "{s}_elbow", "{s}_wrist"),
}  # fmt: skip


def rig(style="mixamo"):
    """Names, parents and rest places (J, 3) of a rig whose head has a tip."""
    spelled = dict(zip(REST, STYLES[style], strict=True))
    above = {
        "spine": "hips", "chest": "spine", "neck": "chest", "head": "neck", "upleg": "hips",
        "leg": "upleg", "foot": "leg", "arm": "chest", "forearm": "arm", "hand": "forearm",
    }  # fmt: skip
    names, parents, places = [], [], []

    def add(joint, side, mirror):
        def name(which):
            return spelled[which].format(S=side, s=side.lower(), L=side[:1])

        if name(joint) in names:
            return
        parents.append(names.index(name(above[joint])) if joint in above else -1)
        names.append(name(joint))
        places.append(np.array(REST[joint], float) * [mirror, 1, 1])
        if joint == "head":
            names.append(f"{name(joint)}_end")
            parents.append(len(names) - 2)
            places.append(np.array([0, 1.75, 0.0]))

    for side, mirror in (("Left", 1), ("Right", -1)):
        for joint in REST:
            add(joint, side, mirror)
    return tuple(names), tuple(parents), np.array(places)


@pytest.mark.parametrize("style", STYLES)
def test_joints_are_found_by_customary_names(style):
    names, parents, rest = rig(style)
    skeleton = Skeleton(names, parents, rest[None])
    (joints,) = to_h36m17(skeleton, find_joints(names, {}))
    expected = {
        "pelvis": (0, 0.96, 0), "left_hip": (0.1, 0.96, 0), "right_knee": (-0.1, 0.54, 0),
        "left_ankle": (0.1, 0.12, 0), "spine": (0, 1.23, 0), "thorax": (0, 1.5, 0),
        "nose": (0, 1.66, 0), "head": (0, 1.79, 0), "right_shoulder": (-0.2, 1.5, 0),
        "left_elbow": (0.45, 1.5, 0), "right_wrist": (-0.7, 1.5, 0),
    }  # fmt: skip
    for joint, place in expected.items():
        np.testing.assert_allclose(joints[H36M17.index(joint)], place, atol=1e-9, err_msg=joint)


def test_joints_that_cannot_be_found_are_asked_for():
    names, _, _ = rig()
    odd = tuple(name.replace("LeftHand", "Paw") for name in names)
    with pytest.raises(Vid3dError, match=r"left wrist.*--joints.*Paw"):
        find_joints(odd, {})
    assert find_joints(odd, {"left_wrist": "mixamorig:Paw"})["left_wrist"] == "mixamorig:Paw"
    for wrong in ({"left_wrist": "none"}, {"tail": "mixamorig:Paw"}):
        with pytest.raises(Vid3dError, match="--joints names"):
            find_joints(odd, wrong)


SMPL = "L_Hip L_Knee L_Ankle L_Foot L_Collar L_Shoulder L_Elbow L_Wrist L_Hand"
AVATAR = "L-leg L-knee L-ankle L-toe L-shoulder L-arm L-elbow L-wrist"
MOTIVE = "LThigh LShin LFoot LToe LShoulder LUArm LFArm LHand"


@pytest.mark.parametrize(
    ("left", "given", "expected"),
    [
        (SMPL, {}, "L_Hip L_Knee L_Ankle L_Shoulder L_Elbow L_Wrist"),
        (AVATAR, {"left_hip": "L-leg", "right_hip": "R-leg"},
         "L-leg L-knee L-ankle L-arm L-elbow L-wrist"),
        (MOTIVE, {}, "LThigh LShin LFoot LUArm LFArm LHand"),
    ],
    ids=["SMPL", "avatar", "Motive"],
)  # fmt: skip
def test_a_joint_goes_before_the_segment_below_it(left, given, expected):
    sides = [side + name[1:] for side in "LR" for name in left.split()]
    found = find_joints(("Neck", "Head", *sides), given)
    limbs = ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")
    assert [found[f"left_{limb}"] for limb in limbs] == expected.split()


def test_a_joint_that_is_given_is_no_other_one():
    limbs = ("Thigh", "Leg", "Foot", "Arm", "Elbow", "Hand")
    names = ("Neck", "Head", *(side + name for side in "LR" for name in limbs))
    assert find_joints(names, {})["left_knee"] == "LLeg"
    with pytest.raises(Vid3dError, match="which joint is the left knee"):
        find_joints(names, {"left_hip": "LLeg"})


# --- clips


def test_clips_stand_up_without_a_mirror_and_at_50_hz():
    names, parents, rest = rig()
    pose = to_h36m17(Skeleton(names, parents, rest[None]), find_joints(names, {}))[0]
    moving = pose + np.linspace(0, 1, 25)[:, None, None] * [2.0, 0, 0] + [5, 0, 3]  # 1 s at 25 Hz
    assert upward(moving) == "y"
    clip = make_clip("a", "b", "c", moving, 24, "y")  # 25 frames at 24 Hz: 1 s
    assert clip.joints.shape == (51, 17, 3)
    np.testing.assert_allclose(clip.joints[0, 0], [0, 0, 0.96], atol=1e-6)
    np.testing.assert_allclose(clip.joints[-1, 0], [2, 0, 0.96], atol=1e-6)
    np.testing.assert_allclose(clip.joints[25, 4, :2], [1 + 0.1, 0], atol=1e-6)
    for up in UPS:
        turn = np.linalg.svd(np.random.default_rng(0).normal(size=(3, 3)))[0]
        spread = np.tile(turn, (1, 6, 1))[:, :17] * np.arange(1, 18)[None, :, None]
        turned = make_clip("a", "b", "c", spread, 50, up).joints[0].astype(float)
        volume = [np.linalg.det(np.diff(four, axis=0)) for four in (spread[0, 3:7], turned[3:7])]
        assert volume[0] == pytest.approx(volume[1], rel=1e-3)
        axis = np.eye(3)["xyz".index(up[-1])] * (-1 if up[0] == "-" else 1)
        raised = make_clip("a", "b", "c", np.tile(axis, (1, 17, 1)), 50, up)
        np.testing.assert_allclose(raised.joints[0, 0], [0, 0, 1], atol=1e-9)


def test_resampling_keeps_samples_and_times():
    times = np.arange(0, 1, 1 / 120)
    wave = np.sin(2 * np.pi * 3 * times)
    slower = resample(wave, 120, 50)
    moments = np.arange(len(slower)) / 50
    assert moments[-1] <= times[-1] < moments[-1] + 1 / 50
    np.testing.assert_allclose(slower, np.sin(2 * np.pi * 3 * moments), atol=1e-4)
    np.testing.assert_array_equal(resample(wave, 100, 50), wave[::2])
    np.testing.assert_array_equal(resample(wave, 50, 50), wave)


@given(st.integers(0, 2**32 - 1), st.floats(0.1, 20), st.integers(1, 4))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_written_is_read_to_half_a_step(tmp_path, seed, reach, count):
    rng = np.random.default_rng(seed)
    clips = [
        MotionClip(f"c{i}", "a", "", rng.uniform(-reach, reach, (frames, 17, 3)).astype("f4"))
        for i, frames in enumerate(rng.integers(1, 9, count))
    ]
    write_mocap(tmp_path / "a.npz", clips)
    read = read_mocap(tmp_path / "a.npz")
    assert [clip.name for clip in read] == [clip.name for clip in clips]
    for clip, other in zip(read, clips, strict=True):
        assert np.abs(clip.joints - other.joints).max() <= max(0.0005, reach / 32_767) * 0.51


def test_clips_that_go_too_far_are_refused(tmp_path):
    far = MotionClip("far", "a", "", np.full((1, 17, 3), 70, np.float32))
    for clips, words in (([far], "far goes"), ([], "no clip")):
        with pytest.raises(Vid3dError, match=words):
            write_mocap(tmp_path / "a.npz", clips)
    assert not list(tmp_path.iterdir())


def test_numbers_in_names_count_whole():
    reading = Reading(only=("S1", "TS", "CMU/0"))
    names = ("S1/Eating", "S11/Eating", "TS4#0", "CMU/01/a", "CMU/0", "S1", "XS1")
    assert [name for name in names if reading.wants(name)] == ["S1/Eating", "TS4#0", "CMU/0", "S1"]


def test_stretches():
    assert stretches([1, 1, 0, 1, 0, 0, 1]) == [slice(0, 2), slice(3, 4), slice(6, 7)]
    assert stretches([]) == stretches([0]) == []


def test_what_macos_puts_beside_files_is_no_data(tmp_path):
    for name in ("walk.bvh", "walk.npz", "walk.amc", "all.asf", "walk.pkl"):
        folder = tmp_path / name[-3:]
        folder.mkdir(exist_ok=True)
        (folder / f"._{name}").write_bytes(b"\0\5\26\7")
        assert not any(one.holds(folder) for one in DATA_SETS.values())
        (folder / name).touch()
        assert files_below(folder, name[-4:], "") == [(name[:-4], folder / name)]
    (tmp_path / "amc").joinpath("all.asf").touch()
    (tmp_path / "amc").joinpath("._all.asf").touch()
    assert _skeleton_of(tmp_path / "amc/walk.amc") == tmp_path / "amc/all.asf"


# --- BVH

THREE_FRAMES = """HIERARCHY
ROOT Hips
{
  OFFSET 9 9 9
  CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
  JOINT Arm
  {
    OFFSET 0 2 0
    CHANNELS 3 Zrotation Yrotation Xrotation
    End Site
    {
      OFFSET 1 0 0
    }
  }
}
MOTION
Frames: 3
Frame Time: 0.04
0 0 0  0 0 0  0 0 0
1 2 3  90 0 0  0 0 0
0 0 0  90 90 0  0 90 0
"""


def test_names_of_bvh_joints_may_hold_spaces(tmp_path):
    text = THREE_FRAMES.replace("ROOT Hips", "ROOT Bip01").replace("Arm", "Bip01 L UpperArm")
    (tmp_path / "a.bvh").write_text(text)
    names = ("Bip01", "Bip01 L UpperArm", "Bip01 L UpperArm_end")
    assert read_bvh(tmp_path / "a.bvh")[0].names == names
    (tmp_path / "a.bvh").write_text(THREE_FRAMES.replace("Hips\n{", "Hips\n"))
    with pytest.raises(Vid3dError, match=r"'OFFSET' where \{ was expected"):
        read_bvh(tmp_path / "a.bvh")


def test_a_bvh_of_three_frames_by_hand(tmp_path):
    (tmp_path / "a.bvh").write_text(THREE_FRAMES)
    skeleton, fps = read_bvh(tmp_path / "a.bvh")
    assert fps == pytest.approx(25)
    assert skeleton.names == ("Hips", "Arm", "Arm_end")
    assert skeleton.parents == (-1, 0, 1)
    expected = [
        [(0, 0, 0), (0, 2, 0), (1, 2, 0)],
        [(1, 2, 3), (-1, 2, 3), (-1, 3, 3)],  # a quarter about z: x to y, y to -x
        # Rz Rx: y goes to z. Of the arm's x, Ry makes -z, Rx of that y, Rz of that -x.
        [(0, 0, 0), (0, 0, 2), (-1, 0, 2)],
    ]
    np.testing.assert_allclose(skeleton.positions, expected, atol=1e-12)


def test_a_bvh_header_needs_no_spaces(tmp_path):
    tight = THREE_FRAMES.replace("Frames: ", "Frames:").replace("Time: ", "Time:")
    (tmp_path / "a.bvh").write_text(THREE_FRAMES)
    (tmp_path / "b.bvh").write_text(tight)
    (spaced, rate), (same, fps) = (read_bvh(tmp_path / f"{name}.bvh") for name in "ab")
    assert fps == rate
    np.testing.assert_array_equal(same.positions, spaced.positions)


def random_bvh(rng):
    """The text of a random hierarchy, every order of channels, moving joints among them."""
    turns = ["Xrotation", "Yrotation", "Zrotation"]
    places = ["Xposition", "Yposition", "Zposition"]
    count = [0]

    def joint(depth, name):
        channels = list(rng.permutation(turns))
        if depth == 0 or rng.random() < 0.3:
            channels = places + channels
        count[0] += len(channels)
        offset = " ".join(f"{x:.4f}" for x in rng.normal(size=3))
        lines = [f"{'ROOT' if depth == 0 else 'JOINT'} {name}", "{", f"OFFSET {offset}",
                 f"CHANNELS {len(channels)} {' '.join(channels)}"]  # fmt: skip
        children = rng.integers(1, 3) if depth < 3 else 0
        for child in range(children):
            lines += joint(depth + 1, f"{name}{child}")
        if not children:
            lines += ["End Site", "{", "OFFSET 0.1 0.2 0.3", "}"]
        return [*lines, "}"]

    lines = ["HIERARCHY", *joint(0, "J")]
    values = rng.uniform(-180, 180, (4, count[0]))
    rows = [" ".join(f"{value:.4f}" for value in row) for row in values]
    return "\n".join([*lines, "MOTION", "Frames: 4", "Frame Time: 0.01", *rows]) + "\n"


@pytest.mark.parametrize("seed", range(5))
def test_bvh_as_an_independent_reader_has_it(tmp_path, seed):
    bvhio = pytest.importorskip("bvhio", reason="needs bvhio, an independent reader of BVH")
    path = tmp_path / "a.bvh"
    path.write_text(random_bvh(np.random.default_rng(seed)))
    skeleton, _ = read_bvh(path)
    root = bvhio.convertBvhToHierarchy(bvhio.readAsBvh(str(path)).Root)
    for frame in range(4):
        root.loadPose(frame)
        for joint, _, _ in root.layout():
            mine = skeleton.positions[frame, skeleton.index(joint.Name)]
            np.testing.assert_allclose(mine, list(joint.PositionWorld), atol=2e-3)  # it has float32


def bvh_of(names, parents, rest, scale=1.0, frames=3, up="y"):
    """A BVH file of a rig that stands; it turns by 90 degrees about the vertical in all."""
    children = {row: [c for c, p in enumerate(parents) if p == row] for row in range(len(names))}
    order = {"y": [0, 1, 2], "z": [2, 0, 1]}[up]

    def block(row):
        offset = (rest[row] - (rest[parents[row]] if parents[row] >= 0 else rest[row])) * scale
        text = " ".join(f"{x:.6f}" for x in offset[order])
        if names[row].endswith("_end"):
            return ["End Site", "{", f"OFFSET {text}", "}"]
        turns = "Zrotation Xrotation Yrotation"
        kind = "ROOT" if row == 0 else "JOINT"
        places = "6 Xposition Yposition Zposition" if row == 0 else "3"
        lines = [f"{kind} {names[row]}", "{", f"OFFSET {text}", f"CHANNELS {places} {turns}"]
        for child in children[row]:
            lines += block(child)
        tip = [] if children[row] else ["End Site", "{", f"OFFSET 0 {0.01 * scale} 0", "}"]
        return [*lines, *tip, "}"]

    width = 3 + 3 * sum(not name.endswith("_end") for name in names)
    rows = np.zeros((frames, width))
    rows[:, :3] = (rest[0] * scale)[order]
    rows[:, {"y": 5, "z": 3}[up]] = np.linspace(0, 90, frames)
    motion = [" ".join(f"{value:.6f}" for value in row) for row in rows]
    head = ["MOTION", f"Frames: {frames}", "Frame Time: 0.02"]
    return "\n".join(["HIERARCHY", *block(0), *head, *motion])


@pytest.mark.parametrize(
    ("scale", "up"), [(1, "y"), (100, "y"), (1000, "z"), (1 / 0.0254, "y"), (0.45 / 0.0254, "z")]
)
def test_units_and_axes_of_bvh_are_found(tmp_path, scale, up):
    (tmp_path / "walks.bvh").write_text(bvh_of(*rig(), scale, up=up))
    build([tmp_path / "walks.bvh"], tmp_path / "out.npz")
    whole = (tmp_path / "out.npz").read_bytes()
    with pytest.raises(Vid3dError, match="is what is read"):
        build([tmp_path / "out.npz"], tmp_path / "out.npz", reading=Reading(only=("nobody",)))
    assert (tmp_path / "out.npz").read_bytes() == whole
    (clip,) = read_mocap(tmp_path / "out.npz")
    assert (clip.name, clip.actor, clip.description) == ("walks", "walks", "walks")
    np.testing.assert_allclose(clip.joints[:, 10, 2], 1.79, atol=0.002)
    wrists = clip.joints[:, 13] - clip.joints[:, 16]
    np.testing.assert_allclose(np.linalg.norm(wrists, axis=1), 1.4, atol=0.002)
    turned = np.degrees(
        np.arctan2(wrists[2, 1], wrists[2, 0]) - np.arctan2(wrists[0, 1], wrists[0, 0])
    )
    assert turned == pytest.approx(90, abs=0.2)  # counter-clockwise from above, never mirrored


def test_the_folder_that_one_stands_in_has_its_name(tmp_path, monkeypatch):
    (tmp_path / "tina" / "old").mkdir(parents=True)
    (tmp_path / "tina" / "walks.bvh").write_text(bvh_of(*rig()))
    for inside, path in (("tina", "."), ("tina/old", "..")):
        monkeypatch.chdir(tmp_path / inside)
        _, (group,) = inspect(Path(path))
        assert group.name == "tina"


def test_options_that_nobody_reads_are_refused(tmp_path):
    (tmp_path / "walks.bvh").write_text(bvh_of(*rig()))
    both = [tmp_path / "walks.bvh", tmp_path / "walks.npz"]
    build(both[:1], both[1])
    for path, reading, words in (
        (both[0], Reading(body_model=tmp_path), "leave out --body-model, of no use to BVH"),
        (both[1], Reading(fps=30, unit=1), "leave out --fps, --unit, of no use to Motion file"),
    ):
        with pytest.raises(Vid3dError, match=words):
            inspect(path, reading=reading)
    groups = build(both, tmp_path / "both.npz", reading=Reading(fps=25))  # one of them reads it
    assert [group.frames for group in groups] == [5 + 3]  # 3 frames at 25 Hz, and at 50 Hz


def test_bvh_of_our_own_export(repo, tmp_path):
    from motion_toys import make_motion

    from vid3d.data.pairs import read_pairs
    from vid3d.export import export
    from vid3d.export.space import Space

    truth = read_pairs(repo / "samples/two_people.pairs.npz")[0].joints3d[100:130]
    motion = make_motion(truth[None])
    space = Space(np.diag([1.0, -1.0, -1.0]), np.array([0.0, 1.4, 0.0]))
    export(motion, ["bvh"], tmp_path / "out", "clip", space)
    (file,) = (tmp_path / "out").glob("*.bvh")
    skeleton, _ = read_bvh(file)
    joints = to_h36m17(skeleton, find_joints(skeleton.names, {}))
    clip = make_clip("a", "b", "", joints, MOCAP_FPS, upward(joints))
    limbs = [joint for joint in range(17) if joint not in (7, 9, 10)]
    expected = make_clip("a", "b", "", truth, MOCAP_FPS, "-y").joints[:, limbs] + [0, 0, 1.4]
    assert np.linalg.norm(clip.joints[:, limbs] - expected, axis=-1).mean() < 0.01


DAMAGES = {
    "": "ends too early",
    "HIERARCHY": "ends too early",
    "a film": "not a BVH",
    THREE_FRAMES[:200]: "ends too early|not a BVH",
    THREE_FRAMES.replace("Frames: 3", "Frames: 4"): "27 numbers for 4 frames",
    THREE_FRAMES.replace("Frames: 3", "Frames: -1"): "at most",
    THREE_FRAMES.replace("0.04", "nan"): "number nan",
    THREE_FRAMES.replace("0.04", "0"): "frame time",
    THREE_FRAMES.replace("90", "inf"): "not finite",
    THREE_FRAMES.replace("Xrotation", "Wrotation"): "unknown channels",
    THREE_FRAMES.replace("JOINT", "ROOT"): "out of place",
}


@pytest.mark.parametrize("text", DAMAGES)
def test_damaged_bvh_is_one_line(tmp_path, text):
    (tmp_path / "a.bvh").write_text(text)
    with pytest.raises(Vid3dError, match=DAMAGES[text]):
        read_bvh(tmp_path / "a.bvh")


@given(st.data())
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_edited_bvh_is_read_or_refused(tmp_path, data):
    words = re.split(r"(\s+)", THREE_FRAMES)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(words) - 1))
        words[at] = data.draw(
            st.sampled_from(["", "}", "{", "JOINT", "1e999", "-5", "x", "MOTION", "End"])
        )
    (tmp_path / "a.bvh").write_text("".join(words))
    try:
        skeleton, _ = read_bvh(tmp_path / "a.bvh")
    except Vid3dError:
        return
    assert np.isfinite(skeleton.positions).all()


# --- ASF/AMC

ASF = """# a person of CMU's bones
:version 1.10
:name VICON
:units
  mass 1.0
  length 0.45
  angle deg
:documentation
  by hand
:root
  order TX TY TZ RX RY RZ
  axis XYZ
  position 0 0 0
  orientation 0 0 0
:bonedata
{bones}:hierarchy
  begin
    root lhipjoint rhipjoint lowerback
    lhipjoint lfemur
    lfemur ltibia
    ltibia lfoot
    rhipjoint rfemur
    rfemur rtibia
    rtibia rfoot
    lowerback upperback
    upperback thorax
    thorax lowerneck lclavicle rclavicle
    lowerneck upperneck
    upperneck head
    lclavicle lhumerus
    lhumerus lradius
    lradius lwrist
    rclavicle rhumerus
    rhumerus rradius
    rradius rwrist
  end
"""
BONES = {  # name: direction, length in metres, axis, dof
    "lhipjoint": ((1, -1, 0), 0.1, (0, 0, 0), ""),
    "lfemur": ((0, -1, 0), 0.42, (0, 0, 90), "rx ry rz"),
    "ltibia": ((0, -1, 0), 0.42, (0, 0, 0), "rx"), "lfoot": ((0, 0, 1), 0.2, (0, 0, 0), "rx rz"),
    "lowerback": ((0, 1, 0), 0.12, (0, 0, 0), "rx ry rz"),
    "upperback": ((0, 1, 0), 0.12, (0, 0, 0), "rx ry rz"),
    "thorax": ((0, 1, 0), 0.2, (0, 0, 0), "rx ry rz"),
    "lowerneck": ((0, 1, 0), 0.05, (0, 0, 0), "rx ry rz"),
    "upperneck": ((0, 1, 0), 0.05, (0, 0, 0), "rx ry rz"),
    "head": ((0, 1, 0), 0.15, (0, 0, 0), "rx ry rz"),
    "lclavicle": ((1, 0, 0), 0.2, (0, 0, 0), "ry rz"),
    "lhumerus": ((1, 0, 0), 0.28, (30, 0, 0), "rx ry rz"),
    "lradius": ((1, 0, 0), 0.17, (0, 0, 0), "rx"), "lwrist": ((1, 0, 0), 0.1, (0, 0, 0), "ry"),
}  # fmt: skip
BONES |= {
    "r" + name[1:]: ((-way[0], *way[1:]), *rest)
    for name, (way, *rest) in BONES.items()
    if name[0] == "l" and name not in ("lowerback", "lowerneck")
}
INCH = 0.0254 / 0.45


def asf():
    blocks = []
    for number, (name, (way, length, axis, dof)) in enumerate(BONES.items(), 1):
        lines = [f"id {number}", f"name {name}", "direction {} {} {}".format(*way),
                 f"length {length / INCH:.9f}", "axis {} {} {} XYZ".format(*axis)]  # fmt: skip
        lines += [f"dof {dof}", "limits (-180 180)"] if dof else []
        blocks += ["  begin", *(f"    {line}" for line in lines), "  end"]
    return ASF.format(bones="\n".join(blocks) + "\n")


def amc(*frames):
    """Frames by bone; what is not named is 0."""
    lines = ["#!OML:ASF", ":FULLY-SPECIFIED", ":DEGREES"]
    for number, given_values in enumerate(frames, 1):
        lines.append(str(number))
        for name, dof in {"root": "x " * 6, **{b: d for b, (*_, d) in BONES.items() if d}}.items():
            values = given_values.get(name, [0] * len(dof.split()))
            lines.append(f"{name} {' '.join(str(value) for value in values)}")
    return "\n".join(lines) + "\n"


@pytest.fixture
def capture(tmp_path):
    folder = tmp_path / "35"
    folder.mkdir()
    (folder / "35.asf").write_text(asf())
    root = [0, 1 / INCH, 0, 0, 0, 0]
    (folder / "35_01.amc").write_text(
        amc(
            {"root": root},
            {"root": [*root[:4], 90, 0], "lfemur": [90, 0, 0]},
            {"root": root, "lfemur": [0, 90, 0], "lhumerus": [0, 0, 90]},
            {"root": root, "thorax": [90, 0, 90]},
        )
    )
    return folder


def test_acclaim_by_hand(capture):
    skeleton = read_amc(capture / "35_01.amc", read_asf(capture / "35.asf"))
    side = 0.1 / np.sqrt(2)
    hip = np.array([side, 1 - side, 0])
    places = {name: skeleton.positions[:, skeleton.index(name)] for name in skeleton.names}
    np.testing.assert_allclose(places["root"], [[0, 1, 0]] * 4, atol=1e-9)
    np.testing.assert_allclose(places["lhipjoint"][0], hip, atol=1e-9)
    np.testing.assert_allclose(places["ltibia"][0], hip - [0, 0.84, 0], atol=1e-9)
    # The whole body turns about y: x to -z. The thigh's own x is the body's y (its axes are turned
    # by 90 degrees about z), so turning about that leaves it hanging.
    np.testing.assert_allclose(places["lhipjoint"][1], [0, 1 - side, -side], atol=1e-9)
    np.testing.assert_allclose(places["lfemur"][1], [0, 1 - side - 0.42, -side], atol=1e-9)
    # The thigh's own y is the body's -x: -y goes to z.
    np.testing.assert_allclose(places["lfemur"][2], hip + [0, 0, 0.42], atol=1e-9)
    # The upper arm's own z is the body's (0, -sin 30, cos 30); x turns about it to its own y,
    # (0, cos 30, sin 30).
    shoulder = np.array([0.2, 1 + 0.44, 0])
    np.testing.assert_allclose(
        places["lhumerus"][2], shoulder + 0.28 * np.array([0, np.sqrt(0.75), 0.5]), atol=1e-9
    )
    # About x first, y goes to z; about z then, that stays.
    back = np.array([0, 1 + 0.24, 0])
    np.testing.assert_allclose(places["thorax"][3], back + [0, 0, 0.2], atol=1e-9)
    np.testing.assert_allclose(places["head"][3], back + [0, 0, 0.2 + 0.25], atol=1e-9)
    np.testing.assert_allclose(places["lclavicle"][3], back + [0, 0.2, 0.2], atol=1e-9)
    np.testing.assert_allclose(
        places["lforearm_end"][0], shoulder + [0.28 + 0.17 + 0.065, 0, 0], atol=1e-9
    )


def test_acclaim_becomes_motion(capture, tmp_path):
    (capture / "35_02.amc").write_text(amc(*[{"root": [0, 1 / INCH, 0, 0, 0, 0]}] * 241))
    groups = build([tmp_path], tmp_path / "cmu.npz", reading=Reading(only=("35/35_02",)))
    assert [(group.name, group.sequences, group.frames) for group in groups] == [("35", 1, 101)]
    (clip,) = read_mocap(tmp_path / "cmu.npz")
    assert clip.name == "35/35_02"
    np.testing.assert_allclose(clip.joints[50, H36M17.index("thorax")], [0, 0, 1.44], atol=0.001)
    assert clip.joints[50, H36M17.index("head"), 2] == pytest.approx(1.54 + 0.19, abs=0.002)
    assert clip.joints[0, 4, 0] > 0 > clip.joints[0, 1, 0]


def test_endings_in_capitals(capture, tmp_path):
    for file in list(capture.iterdir()):
        file.rename(capture / file.name.upper())
    found, (group,) = inspect(capture)
    assert (found.name, group.name) == ("amc", "35")
    (tmp_path / "rig").mkdir()
    (tmp_path / "rig" / "A.BVH").write_text(bvh_of(*rig()))
    found, (group,) = inspect(tmp_path / "rig")
    assert (found.name, group.sequences) == ("bvh", 1)


def test_acclaim_without_its_skeleton(capture):
    (capture / "35.asf").unlink()
    with pytest.raises(Vid3dError, match=r"no skeleton for .*35_01\.amc; put the \.asf beside"):
        build([capture], capture / "out.npz")
    assert not (capture / "out.npz").exists()


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("35.asf", "length 0.45", "length 0"), ("35.asf", ":hierarchy", ":other"),
        ("35.asf", "XYZ\n    dof rx ry rz", "XYW\n    dof rx ry rz"),
        ("35.asf", "upperback thorax", "upperback thorax root"),
        ("35.asf", "dof rx ry rz", "dof rx r rz"), ("35.asf", "order TX", "order T"),
        ("35_01.amc", ":DEGREES", ":RADIANS"), ("35_01.amc", "lfemur 90", "lfemur"),
        ("35_01.amc", "ltibia", "tail"), ("35_01.amc", "\n1\n", "\n"),
    ],
)  # fmt: skip
def test_damaged_acclaim_is_one_line(capture, name, old, new):
    text = (capture / name).read_text()
    assert old in text
    (capture / name).write_text(text.replace(old, new, 1))
    with pytest.raises(Vid3dError, match=r"is not an (ASF|AMC) file"):
        build([capture], capture / "out.npz")


# --- AMASS


def body_model(folder, gender="male", shapes=3):
    """A body of 22 vertices that are its joints."""
    rest = np.zeros((52, 3))
    spread = {
        "pelvis": (0, 1, 0), "hip": (0.1, 0.96, 0), "knee": (0.1, 0.54, 0), "ankle": (0.1, 0.12, 0),
        "foot": (0.1, 0, 0.1), "spine1": (0, 1.1, 0), "spine2": (0, 1.2, 0), "spine3": (0, 1.3, 0),
        "neck": (0, 1.5, 0), "head": (0, 1.6, 0), "collar": (0.05, 1.45, 0),
        "shoulder": (0.2, 1.5, 0), "elbow": (0.45, 1.5, 0), "wrist": (0.7, 1.5, 0),
    }  # fmt: skip
    for joint, name in enumerate(NAMES[:BODY]):
        side, _, part = name.rpartition("_")
        rest[joint] = np.array(spread[part]) * [-1 if side == "right" else 1, 1, 1]
    shape = np.zeros((52, 3, shapes))
    shape[..., 0] = 0.1 * rest  # the first makes everything larger
    parents = np.zeros((2, 52), np.int64)
    parents[0, :BODY] = PARENTS[:BODY]
    (folder / gender).mkdir(parents=True)
    np.savez(  # the published files hold pickled objects, too, which are not touched
        folder / gender / "model.npz", joint2num={"a": 1}, v_template=rest, shapedirs=shape,
        J_regressor=np.eye(52), kintree_table=parents,
    )  # fmt: skip
    return rest[:BODY]


def amass(path, frames=121, fps=120.0, gender="male", **changes):
    poses = np.zeros((frames, 156))
    poses[:, 0] = np.pi / 2  # y up becomes z up
    fields = dict(
        poses=poses, trans=np.tile([3.0, 2, 0], (frames, 1)), betas=np.zeros(16), gender=gender,
        mocap_framerate=fps, dmpls=np.zeros((frames, 8)),
    )  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **(fields | changes))


def test_smpl_by_hand(tmp_path):
    rest = body_model(tmp_path)
    model = BodyModel.load(tmp_path / "male/model.npz")
    poses = np.zeros((2, 156))
    poses[1, 3:6] = [-np.pi / 2, 0, 0]  # the left hip lifts the thigh forward: -y to z
    poses[1, 12:15] = [np.pi / 2, 0, 0]  # and the knee lets the shin hang
    skeleton = model.skeleton(
        poses, np.array([1.0, 0, 0, 0, 5]), np.array([[0, 0, 0], [1, 2, 3.0]])
    )
    np.testing.assert_allclose(skeleton.positions[0], 1.1 * rest, atol=1e-12)
    hip = 1.1 * np.array([0.1, 0.96, 0]) + [1, 2, 3]
    places = dict(zip(skeleton.names, skeleton.positions[1], strict=True))
    np.testing.assert_allclose(places["left_hip"], hip, atol=1e-12)
    np.testing.assert_allclose(places["left_knee"], hip + [0, 0, 1.1 * 0.42], atol=1e-12)
    np.testing.assert_allclose(places["left_ankle"], hip + [0, -1.1 * 0.42, 1.1 * 0.42], atol=1e-12)
    np.testing.assert_allclose(places["head"], 1.1 * rest[15] + [1, 2, 3], atol=1e-12)


def test_smpl_as_a_chain_of_matrices(tmp_path):
    from scipy.spatial.transform import Rotation

    rest = body_model(tmp_path)
    rng = np.random.default_rng(0)
    poses, trans = rng.normal(size=(1, 156)), rng.normal(size=(1, 3))
    skeleton = BodyModel.load(tmp_path / "male/model.npz").skeleton(poses, np.zeros(16), trans)
    for joint in range(BODY):
        chain, matrix = [joint], np.eye(4)
        while PARENTS[chain[0]] >= 0:
            chain.insert(0, PARENTS[chain[0]])
        for link in chain:
            step = np.eye(4)
            step[:3, :3] = Rotation.from_rotvec(poses[0, 3 * link : 3 * link + 3]).as_matrix()
            step[:3, 3] = rest[link] - (rest[PARENTS[link]] if PARENTS[link] >= 0 else 0)
            matrix = matrix @ step
        np.testing.assert_allclose(
            skeleton.positions[0, joint], matrix[:3, 3] + trans[0], atol=1e-9
        )


def test_amass_becomes_motion(tmp_path):
    body_model(tmp_path / "models")
    amass(tmp_path / "AMASS/CMU/01/01_01_poses.npz")
    amass(tmp_path / "AMASS/KIT/3/walk_poses.npz", fps=100, gender=np.bytes_(b"MALE"))
    for body in ("shape", "female_stagei", "male_stagei", "neutral_stagei"):
        np.savez(tmp_path / f"AMASS/CMU/01/{body}.npz", betas=np.zeros(16))
    reading = Reading(body_model=tmp_path / "models")
    found, groups = inspect(tmp_path / "AMASS", reading=reading)
    assert found.name == "amass"
    assert [(group.name, group.sequences, group.frames) for group in groups] == [
        ("CMU/01", 1, 51), ("KIT/3", 1, 61),
    ]  # fmt: skip
    build([tmp_path / "AMASS"], tmp_path / "amass.npz", reading=reading)
    first, second = read_mocap(tmp_path / "amass.npz")
    assert (first.name, first.actor, first.description) == ("CMU/01/01_01_poses", "CMU/01", "01_01")
    np.testing.assert_allclose(
        first.joints[0, H36M17.index("left_wrist"), [0, 2]], [0.7, 0.5], atol=0.001
    )
    np.testing.assert_array_equal(first.joints[0], second.joints[0])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"poses": np.zeros((3, 30))}, "poses"), ({"trans": np.zeros((2, 3))}, "trans"),
        ({"betas": np.full(16, np.nan)}, "not finite"), ({"gender": "other"}, "no other/model.npz"),
        ({"mocap_framerate": 0.0}, "rate of 0"), ({"poses": np.array([{}])}, "not a motion"),
    ],
)  # fmt: skip
def test_bad_amass_is_one_line(tmp_path, changes, words):
    body_model(tmp_path / "models")
    amass(tmp_path / "in/a_poses.npz", frames=3, **changes)
    with pytest.raises(Vid3dError, match=words):
        build(
            [tmp_path / "in"],
            tmp_path / "out.npz",
            "amass",
            Reading(body_model=tmp_path / "models"),
        )
    assert not (tmp_path / "out.npz").exists()


def test_amass_says_where_the_body_model_is_from(tmp_path):
    amass(tmp_path / "a_poses.npz", frames=3)
    with pytest.raises(Vid3dError, match=r"--body-model"):
        build([tmp_path], tmp_path / "out.npz")
    np.savez(tmp_path / "model.npz", v_template=1)
    with pytest.raises(Vid3dError, match=r"model.npz is not a model.npz of SMPL-H"):
        build(
            [tmp_path / "a_poses.npz"],
            tmp_path / "o.npz",
            None,
            Reading(body_model=tmp_path / "model.npz"),
        )
