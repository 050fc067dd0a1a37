import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vid3d.camera import Camera
from vid3d.data.pairs import PairSequence, write_pairs
from vid3d.errors import Vid3dError
from vid3d.pose2d.keypoint_files import read_keypoints, write_keypoints
from vid3d.pose2d.people import KeypointClip, Look, People
from vid3d.skeleton import COCO17, H36M17

quick = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def flat(offset=100.0, confidence=0.5):
    """51 numbers: joint j at (offset + j, offset + 2 j)."""
    return [v for j in range(17) for v in (offset + j, offset + 2 * j, confidence)]


def coco(**changes):
    image = {"id": 7, "frame": 3, "time": 0.12, "width": 640, "height": 480}
    annotation = {"id": 1, "image_id": 7, "keypoints": flat(), "bbox": [90, 95, 30, 60],
                  "score": 0.9, "track_id": 4}  # fmt: skip
    return {"info": {"fps": 25, "frames": 9}, "images": [image], "annotations": [annotation],
            **changes}  # fmt: skip


def said_of(path):
    """What is said of a file that may be wrong; nothing where it can be read."""
    try:
        read_keypoints(path)
    except Vid3dError as error:
        return str(error)
    return ""


def read(tmp_path, document):
    path = tmp_path / "k.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    (clip,) = read_keypoints(path)
    return clip


def test_coco_by_hand(tmp_path):
    clip = read(tmp_path, coco())
    assert (clip.name, clip.fps, clip.frames, clip.frame_size) == ("k", 25, 9, (640, 480))
    assert clip.joint_set == "coco17"
    (look,) = clip.looks
    assert (look.frame, look.time) == (3, 0.12)
    assert look.people.boxes.tolist() == [[90, 95, 120, 155]]
    assert look.people.ids.tolist() == [4]
    assert look.people.keypoints[0, 16].tolist() == [116, 132]
    assert look.people.confidence[0, 0] == 0.5


def test_times_tell_the_rate_where_nothing_else_does(tmp_path):
    images = [{"id": i, "frame": 6 * i, "time": 1 + 0.2 * i} for i in range(4)]
    clip = read(tmp_path, coco(info={}, images=images, annotations=[]))
    assert clip.fps == pytest.approx(30)
    np.testing.assert_allclose(clip.timestamps, 1 + np.arange(19) / 30)
    assert read(tmp_path, coco(info={}, images=images[:1], annotations=[])).rate is None


def test_images_with_names_as_ids_are_in_the_order_of_their_numbers(tmp_path):
    # Of names alone; what has a number of its own comes before them.
    names = ["img_0.jpg", "img_1.jpg", "img_2.jpg", "img_010.jpg", "img_11.jpg", "img_11b.jpg",
             f"img_{'9' * 5000}.jpg"]  # fmt: skip
    order = [12, *names]
    images = [{"id": name, "width": 640, "height": 480} for name in order[::-1]]
    annotations = [
        {"image_id": name, "keypoints": flat(100 + 10 * i)} for i, name in enumerate(order)
    ]
    looks = read(tmp_path, coco(images=images, annotations=annotations)).looks
    assert [look.frame for look in looks] == list(range(8))
    seen = [look.people.keypoints[0, 0, 0] for look in looks]
    assert seen == [100, 110, 120, 130, 140, 150, 160, 170]


@pytest.mark.parametrize(
    ("names", "frames"),
    [
        (["a/frame_000020.jpg", "a/frame_000000.jpg", "a/frame_000010.jpg"], [0, 10, 20]),
        (["7.png", "1.png", "4.png"], [0, 3, 6]),  # from 1 on
        (["a7.png", "b1.png", "a4.png"], [0, 1, 2]),  # of several recordings
        (["7.png", "7.png", "4.png"], [0, 1, 2]),
        (["x", None, "4.png"], [0, 1, 2]),
        (["7.png", "8.png", "1700000000123.png"], [0, 1, 2]),  # a time
    ],
)
def test_numbers_of_images_files_are_frames(tmp_path, names, frames):
    images = [{"id": i, "file_name": name} for i, name in enumerate(names)]
    clip = read(tmp_path, coco(info={}, images=images, annotations=[]))
    assert [look.frame for look in clip.looks] == frames
    one = [{"id": 1, "file_name": "IMG_1234.jpg"}]
    assert read(tmp_path, coco(info={}, images=one, annotations=[])).looks[0].frame == 0


def test_coco_visibility_is_read_as_confidence(tmp_path):
    keypoints = flat()
    keypoints[2::3] = [2] * 15 + [1, 0]
    annotation = {"image_id": 7, "keypoints": keypoints}
    people = read(tmp_path, coco(annotations=[annotation])).looks[0].people
    assert people.confidence[0].tolist() == [1.0] * 15 + [0.5, 0.0]
    assert people.ids is None


def test_joint_names_of_the_category_decide(tmp_path):
    category = {"id": 1, "name": "person", "keypoints": list(H36M17.joints)}
    assert read(tmp_path, coco(categories=[category])).joint_set == "h36m17"


POSETRACK = ("nose", "head_bottom", "head_top", *COCO17.joints[3:])
"""Names of PoseTrack18, whose neck and head top stand where COCO's eyes do."""


@pytest.mark.parametrize("joints", [COCO17, H36M17])
@pytest.mark.parametrize("spelled", ["{0}_{1}", "{0} {1}", "{0[0]}{1}", "{1}.{0}", "{1}-{0[0]}"])
def test_joints_in_another_order_go_to_their_places(tmp_path, joints, spelled):
    right_first = [joints.joints[i].split("_") for i in joints.flip]
    names = [spelled.format(*words).title() if words[1:] else words[0] for words in right_first]
    categories = [{"id": 0, "name": "people"}, {"id": 1, "name": "person", "keypoints": names}]
    clip = read(tmp_path, coco(categories=categories))
    assert clip.joint_set == joints.name
    assert clip.looks[0].people.keypoints[0, :, 0].tolist() == [100 + i for i in joints.flip]


def test_joint_names_that_say_nothing_are_in_the_order_of_coco(tmp_path):
    category = {"id": 1, "name": "person", "keypoints": [str(i) for i in range(17)]}
    clip = read(tmp_path, coco(categories=[category]))
    assert clip.joint_set == "coco17"
    assert clip.looks[0].people.keypoints[0, :, 0].tolist() == list(range(100, 117))


@pytest.mark.parametrize("count", [26, 133])
def test_wider_sets_begin_with_coco(tmp_path, count):
    keypoints = [float(v) for v in range(3 * count)]
    keypoints[2::3] = [0.9] * count
    clip = read(tmp_path, coco(annotations=[{"image_id": 7, "keypoints": keypoints}]))
    assert clip.looks[0].people.keypoints[0, 16].tolist() == [48, 49]


def test_list_of_results(tmp_path):
    results = [
        {"image_id": "12.jpg", "keypoints": flat(), "score": 0.7, "idx": 3},
        {"image_id": "10.jpg", "keypoints": flat(), "score": 0.6, "idx": 3},
        {"image_id": "12.jpg", "keypoints": flat(300), "score": 0.5, "idx": 5},
    ]
    clip = read(tmp_path, results)
    # Images without people are not in such lists: the first number says nothing, but 0 or 1.
    assert [look.frame for look in clip.looks] == [9, 11]
    assert clip.looks[1].people.ids.tolist() == [3, 5]
    assert clip.frames == 12
    first = {"image_id": "0.jpg", "keypoints": flat(), "score": 0.7}
    assert [look.frame for look in read(tmp_path, [*results, first]).looks] == [0, 10, 12]
    with pytest.raises(Vid3dError, match="give the video"):
        _ = clip.fps


def test_lists_of_results_leave_out_images_without_people(tmp_path):
    # somebody at every second of the frames 0 to 8 and 14 to 20, at the last one of 21 too
    seen = [0, 2, 4, 6, 8, 14, 16, 18, 20, 21]
    clip = read(tmp_path, [{"image_id": f"{n}.png", "keypoints": flat(), "idx": 3} for n in seen])
    at = {look.frame: len(look.people) for look in clip.looks}
    assert at == dict.fromkeys(seen, 1) | {10: 0, 12: 0}
    images = ["0.png", "1.png", f"{10**9}.png"]
    with pytest.raises(Vid3dError, match="frames apart: cut the clip"):
        read(tmp_path, [{"image_id": name, "keypoints": flat()} for name in images])


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ("", "not read as JSON"),
        ("{", "not read as JSON"),
        ("[" * 100_000, "not read as JSON"),
        ("3", "expected an object"),
        ([], "expected a list of results"),
        ([{"image_id": True, "keypoints": flat()}], "no frame number"),
        ([{"image_id": "x", "keypoints": flat()}], "no frame number"),
        ({"images": []}, "annotations is missing"),
        (coco(images=[]), "images is empty"),
        (coco(images=[{"id": 7}, {"id": 7}]), "each its own"),
        (coco(images=[{"id": 7, "frame": -1}]), "frame of an image"),
        (coco(images=[{"id": 7, "frame": 1.5}]), "frame of an image"),
        (coco(images=[{"id": 7, "frame_id": 10_005_830_000}]), "not a whole number below 1e9"),
        (coco(images=[{"id": 7, "width": "a", "height": 4}]), "image size"),
        (coco(images=[{"id": 7, "time": "now"}]), "time of an image"),
        (coco(images=[{"id": 8}]), "which no image has"),
        (coco(info=3), "info is not an object"),
        (coco(categories=[{"keypoints": list(POSETRACK)}]), "('head_bottom', 'head_top') that"),
        (coco(categories=[{"keypoints": list(COCO17.joints[:14])}]), "neither coco17 nor h36m17"),
        (coco(info={"fps": 0}), "frame rate is 0"),
        (coco(info={"fps": "fast"}), "fps is not"),
        (coco(annotations=[{"image_id": 7}]), "keypoints is missing"),
        (coco(annotations=[{"image_id": 7, "keypoints": flat()[:48]}]), "48 numbers, expected 51"),
        (coco(annotations=[{"image_id": 7, "keypoints": ["a"] * 51}]), "not a list of numbers"),
        (coco(annotations=[{"image_id": 7, "keypoints": [float("nan")] * 51}]), "finite"),
        (coco(annotations=[{"image_id": 7, "keypoints": [None] * 51}]), "finite"),
        (coco(annotations=[{"image_id": 7, "keypoints": flat(), "bbox": [1]}]), "bbox"),
        (coco(annotations=[{"image_id": 7, "keypoints": [0.5] * 51}] * 2), "expected pixels"),
    ],
)
def test_malformed_json_is_one_clear_line(tmp_path, document, words):
    with pytest.raises(Vid3dError) as error:
        read(tmp_path, document)
    assert words in str(error.value)
    assert str(tmp_path / "k.json") in str(error.value)
    assert "\n" not in str(error.value)


def test_no_such_file(tmp_path):
    with pytest.raises(Vid3dError, match="no such file"):
        read_keypoints(tmp_path / "none.json")
    (tmp_path / "folder").mkdir()
    with pytest.raises(Vid3dError, match="as OpenPose writes them"):
        read_keypoints(tmp_path / "folder")
    (tmp_path / "a.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(Vid3dError, match="not read as JSON"):
        read_keypoints(tmp_path / "a.json")


values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)
PLACES = [("info",), ("info", "fps"), ("info", "frames"), ("images",), ("images", 0),
          ("images", 0, "id"), ("images", 0, "frame"), ("images", 0, "time"),
          ("images", 0, "width"), ("annotations",), ("annotations", 0),
          ("annotations", 0, "image_id"), ("annotations", 0, "keypoints"),
          ("annotations", 0, "keypoints", 5), ("annotations", 0, "bbox"),
          ("annotations", 0, "score"), ("annotations", 0, "track_id"),
          ("categories",)]  # fmt: skip


@quick
@given(st.sampled_from(PLACES), values)
def test_any_wrong_value_is_understood_or_refused(tmp_path, place, value):
    document = coco()
    inner = document
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    (tmp_path / "k.json").write_text(json.dumps(document))
    assert "\n" not in said_of(tmp_path / "k.json")


@st.composite
def clips(draw):
    frames = draw(st.lists(st.integers(0, 50), unique=True, max_size=4).map(sorted))
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    with_ids = draw(st.booleans())
    looks = []
    for frame in frames:
        count = draw(st.integers(0, 3))
        confidence = rng.random((count, 17)).round(4) * (rng.random((count, 17)) < 0.8)
        people = People(
            rng.uniform(0, 500, (count, 4)).round(2),
            rng.random(count).round(4),
            np.where(confidence[..., None] > 0, rng.uniform(3, 900, (count, 17, 2)).round(2), 0),
            confidence,
            rng.permutation(9)[:count] if with_ids else None,
        )
        looks.append(Look(frame, round(frame / 30, 6), people))
    joint_set = draw(st.sampled_from(["coco17", "h36m17"]))
    return KeypointClip("k", looks, joint_set, 60, 30.0, (1000, 900))


@quick
@given(clips())
def test_what_is_written_is_read_back(tmp_path, clip):
    if not clip.looks:
        clip = replace(clip, looks=[Look(0, 0.0, People.none())])
    path = write_keypoints(tmp_path / "k.json", clip)
    (again,) = read_keypoints(path)
    for field in ("name", "joint_set", "frames", "rate", "size"):
        assert getattr(again, field) == getattr(clip, field)
    assert [(look.frame, look.time) for look in again.looks] == [
        (look.frame, look.time) for look in clip.looks
    ]
    for before, after in zip(clip.looks, again.looks, strict=True):
        for field in ("boxes", "scores", "keypoints", "confidence"):
            wanted = getattr(before.people, field)
            np.testing.assert_allclose(getattr(after.people, field), wanted, atol=0.02)
        if len(before.people) and before.people.ids is not None:
            assert after.people.ids.tolist() == before.people.ids.tolist()


def test_mot_text_counts_frames_of_the_whole_video(tmp_path):
    """Of the part that begins at 10 s of a video of 29.97 frames a second, frame 300 of it."""
    rate = 30_000 / 1001
    people = People([[9, 19, 29, 59]], [0.9], np.ones((1, 17, 2)), np.ones((1, 17)), [4])
    looks = [Look(frame, (300 + frame) / rate, people) for frame in (0, 6, 8)]
    clip = KeypointClip("part", looks, "coco17", 9, rate)
    lines = write_keypoints(tmp_path / "a.txt", clip).read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == ["301", "307", "309"]
    assert lines[0] == "301,4,10.00,20.00,20.00,40.00,0.9000,-1,-1,-1"
    whole = replace(clip, looks=[Look(frame, frame / rate, people) for frame in (0, 6, 8)])
    lines = write_keypoints(tmp_path / "a.txt", whole).read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == ["1", "7", "9"]
    # Nobody may be in sight at first; frames are then those of the file, and so without a rate.
    late = replace(whole, looks=whole.looks[1:])
    nameless = replace(people, ids=None)
    unknown = [Look(6, 3.0, nameless), Look(8, 4.0, nameless)]
    for clip, name in ((late, "4"), (KeypointClip("part", unknown, "coco17", 9), "-1")):
        lines = write_keypoints(tmp_path / "a.txt", clip).read_text().splitlines()
        assert [line.split(",")[:2] for line in lines] == [["7", name], ["9", name]]
    empty = KeypointClip("part", [], "coco17", 9, rate)
    assert write_keypoints(tmp_path / "a.txt", empty).read_text() == ""


# ---------------------------------------------------------------- OpenPose

BODY25 = ["Nose", "Neck", "RShoulder", "RElbow", "RWrist", "LShoulder", "LElbow", "LWrist",
          "MidHip", "RHip", "RKnee", "RAnkle", "LHip", "LKnee", "LAnkle", "REye", "LEye", "REar",
          "LEar", "LBigToe", "LSmallToe", "LHeel", "RBigToe", "RSmallToe", "RHeel"]  # fmt: skip
COCO18 = [*BODY25[:8], *BODY25[9:19]]


def write_openpose(folder, number, names, **fields):
    folder.mkdir(exist_ok=True)
    numbers = [v for i in range(len(names)) for v in (100 + i, 200 + i, 0.5)]
    person = {"person_id": [-1], "pose_keypoints_2d": numbers, **fields}
    path = folder / f"clip_{number:012d}_keypoints.json"
    path.write_text(json.dumps({"version": 1.3, "people": [person]}))


@pytest.mark.parametrize("names", [BODY25, COCO18])
def test_openpose_joints_go_to_their_places(tmp_path, names):
    write_openpose(tmp_path / "op", 5, names)
    write_openpose(tmp_path / "op", 8, names, person_id=[2])
    (tmp_path / "op" / "._clip_000000000005_keypoints.json").write_bytes(b"\x00\x05\x16\x07")
    (clip,) = read_keypoints(tmp_path / "op")
    assert [look.frame for look in clip.looks] == [0, 3]
    people = clip.looks[0].people
    assert people.scores.tolist() == [0.5]  # a box's is the mean of its joints'
    for joint, (x, _) in zip(COCO17.joints, people.keypoints[0], strict=True):
        side, _, part = joint.rpartition("_")
        wanted = (side[:1].upper() + part.capitalize()) if side else "Nose"
        assert names[int(x) - 100] == wanted


def test_openpose_without_people_and_with_ids(tmp_path):
    write_openpose(tmp_path / "op", 0, BODY25, person_id=[2])
    (tmp_path / "op/clip_000000000001_keypoints.json").write_text('{"people": []}')
    (clip,) = read_keypoints(tmp_path / "op")
    assert [len(look.people) for look in clip.looks] == [1, 0]
    assert clip.looks[0].people.ids.tolist() == [2]


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"people": 3}', '{"people": [{}]}',
     '{"people": [{"pose_keypoints_2d": [1, 2]}]}',
     '{"people": [{"pose_keypoints_2d": ["a"]}]}',
     json.dumps({"people": [{"pose_keypoints_2d": [float("inf")] * 75}]})],
)  # fmt: skip
def test_malformed_openpose(tmp_path, text):
    (tmp_path / "clip_1_keypoints.json").write_text(text)
    with pytest.raises(Vid3dError, match=r"clip_1_keypoints\.json is not OpenPose JSON") as error:
        read_keypoints(tmp_path)
    assert "\n" not in str(error.value)


# ---------------------------------------------------------------- pair files


def sequence(frames=3, **changes):
    keypoints = np.arange(frames * 34, dtype=np.float32).reshape(frames, 17, 2)
    fields = {
        "name": "walk", "keypoints2d": keypoints, "confidence": np.ones((frames, 17), np.float32),
        "joint_set": "h36m17", "joints3d": None, "camera": Camera.from_fov(55, (640, 480)),
        "fps": 50.0, **changes,
    }  # fmt: skip
    return PairSequence(**fields)


def test_pairs_are_clips_of_one_person(tmp_path):
    hidden = sequence(name="run")
    hidden.confidence[1] = 0
    hidden.keypoints2d[1] = np.nan
    write_pairs(tmp_path / "a.pairs.npz", [sequence(), hidden])
    walk, run = read_keypoints(tmp_path / "a.pairs.npz")
    assert (walk.name, walk.fps, walk.frames, walk.joint_set) == ("walk", 50, 3, "h36m17")
    assert walk.frame_size == walk.camera.frame_size == (640, 480)
    assert [look.time for look in walk.looks] == [0, 0.02, 0.04]
    np.testing.assert_array_equal(walk.looks[2].people.keypoints[0], sequence().keypoints2d[2])
    assert [len(look.people) for look in run.looks] == [1, 0, 1]
    assert run.looks[0].people.ids.tolist() == [0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"keypoints2d": np.full((3, 17, 2), np.nan, np.float32)}, "not a finite number"),
        ({"confidence": np.full((3, 17), 2, np.float32)}, "outside 0 to 1"),
        ({"confidence": np.full((3, 17), np.nan, np.float32)}, "outside 0 to 1"),
    ],
)
def test_pairs_with_wrong_values(tmp_path, change, words):
    path = tmp_path / "a.pairs.npz"
    write_pairs(path, [sequence(**change)])
    with pytest.raises(Vid3dError, match=words) as error:
        read_keypoints(path)
    assert str(path) in str(error.value)


@quick
@given(st.integers(0, 2000), st.integers(0, 255))
def test_damaged_pair_files_are_refused_or_read(tmp_path, place, value):
    path = tmp_path / "a.pairs.npz"
    write_pairs(path, [sequence()])
    content = bytearray(path.read_bytes())
    content[place % len(content)] = value
    path.write_bytes(content)
    assert "\n" not in said_of(path)
    path.write_bytes(content[: place % len(content)])
    with pytest.raises(Vid3dError):
        read_keypoints(path)
