import copy
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vid3d.errors import Vid3dError
from vid3d.pose2d.estimator import load_estimator
from vid3d.pose2d.manifest import load_manifest, parse_manifest
from vid3d.pose2d.models import find_model
from vid3d.pose2d.official import MODELS
from vid3d.pose2d.preprocess import crops

POSE = {
    "schema": 1,
    "task": "pose",
    "files": {"onnx": {"path": "a.onnx"}},
    "input": {"size": [192, 256], "channels": "rgb"},
    "decode": {"kind": "simcc"},
}


def test_stand_in_manifests_are_valid(repo):
    paths = sorted((repo / "tests/data/manifests").glob("*.json"))
    manifests = {path.stem: load_manifest(path) for path in paths}
    assert len(manifests) == 6
    assert manifests["tinypose"].decode == {
        "kind": "heatmap", "refine": "dark", "blur": 11, "confidence_scale": 1.0,
    }  # fmt: skip
    assert manifests["picodet-s-320"].input.resize == "stretch"
    assert manifests["yolox-nano"].input.std == (1, 1, 1)
    assert manifests["rtmdet-nano-320"].input.pad == 114


def test_defaults(tmp_path):
    manifest = parse_manifest(POSE, tmp_path / "manifest.json")
    assert manifest.name == tmp_path.name
    assert manifest.input.resize == "crop"
    assert manifest.input.pad == 0
    assert manifest.decode["split_ratio"] == 2.0
    assert manifest.files["onnx"].path == tmp_path / "a.onnx"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"schema": 2}, "schema is 2"),
        ({"colour": 1}, "unknown field 'colour'"),
        ({"task": "dance"}, "task must be one of pose, detection"),
        ({"task": ["pose"]}, "task must be one of"),
        ({"files": {}}, "files must name"),
        ({"files": {"onnx": "a.onnx"}}, "files.onnx must be"),
        ({"files": {"tflite": {"path": "a"}}}, "a key of files must be one of"),
        ({"files": {"pth": {"path": "a"}}}, "belong together"),
        ({"files": {"onnx": {"path": "a", "sha256": "12"}}}, "64 hexadecimal"),
        ({"input": {"size": [192]}}, "input.size must be 2 numbers"),
        ({"input": {"size": [192.5, 256]}}, "input.size must be"),
        ({"input": {"size": [192, 256], "std": [0, 1, 1]}}, "input.std must be positive"),
        ({"input": {"size": [192, 256], "channels": "grey"}}, "input.channels"),
        ({"input": {"size": [192, 256], "resize": "stretch"}}, "does not fit a pose model"),
        ({"input": {"size": [192, 256], "fast": 1}}, "fast"),
        ({"decode": {"kind": "rtmdet"}}, "decode.kind must be one of simcc, heatmap"),
        ({"decode": {"kind": "simcc", "split_ratio": -1}}, "decode.split_ratio must be like"),
        ({"decode": {"kind": "simcc", "blur": 3}}, "an option of decode.kind simcc"),
        ({"decode": {"kind": "heatmap", "blur": 4}}, "decode.blur must be odd"),
        ({"decode": {"kind": "heatmap", "refine": True}}, "decode.refine must be one of dark"),
        ({"joint_set": "smpl"}, "joint_set must be one of"),
        ({"thresholds": {"score": 2}}, "thresholds.score"),
        ({"thresholds": {"nms": 2}}, "unknown threshold"),
        ({"thresholds": 3}, "thresholds"),
        ({"outputs": "simcc_x"}, "outputs must be a list"),
    ],
)
def test_wrong_fields_are_named(tmp_path, change, words):
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps({**POSE, **change}))
    with pytest.raises(Vid3dError, match="model manifest") as error:
        load_manifest(path)
    assert words in str(error.value)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)
PLACES = [(field,) for field in ("schema", "name", *POSE, "outputs", "thresholds", "joint_set")]
PLACES += [("input", field) for field in ("size", "mean", "std", "channels", "resize", "pad")]
PLACES += [("decode", "split_ratio"), ("decode", "kind"), ("files", "onnx"), ("files", "pth")]


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(PLACES), values)
def test_any_wrong_value_is_understood_or_refused(place, value):
    fields = copy.deepcopy(POSE)
    inner = fields[place[0]] if len(place) > 1 else fields
    inner[place[-1]] = value
    try:
        assert parse_manifest(fields, Path("manifest.json")).task in ("pose", "detection")
    except Vid3dError as error:
        said = str(error)
    else:
        said = ""
    assert "\n" not in said


def test_files_that_are_no_manifest(tmp_path):
    with pytest.raises(Vid3dError, match="cannot read"):
        load_manifest(tmp_path / "none.json")
    for text in ("{", "[1]", "\x00"):
        (tmp_path / "a.json").write_text(text)
        with pytest.raises(Vid3dError, match="model manifest"):
            load_manifest(tmp_path / "a.json")


def test_checksums(tmp_path):
    (tmp_path / "a.onnx").write_bytes(b"weights")
    right = hashlib.sha256(b"weights").hexdigest()
    files = {"onnx": {"path": "a.onnx", "sha256": right}}
    manifest = parse_manifest({**POSE, "files": files}, tmp_path / "manifest.json")
    assert manifest.file("onnx") == tmp_path / "a.onnx"
    with pytest.raises(Vid3dError, match="has no pth file"):
        manifest.file("pth")
    (tmp_path / "a.onnx").write_bytes(b"broken")
    with pytest.raises(Vid3dError, match="damaged"):
        manifest.file("onnx")
    (tmp_path / "a.onnx").unlink()
    with pytest.raises(Vid3dError, match="is missing"):
        manifest.file("onnx")


def test_models_by_path(tmp_path):
    with pytest.raises(Vid3dError, match="unknown model 'nobody'") as error:
        find_model("nobody", "pose")
    assert all(name in str(error.value) for name in MODELS)
    (tmp_path / "manifest.json").write_text(json.dumps(POSE))
    for path in (tmp_path, tmp_path / "manifest.json"):
        assert find_model(str(path), "pose").files["onnx"].path == tmp_path / "a.onnx"
    (tmp_path / "a.onnx").write_bytes(b"")
    assert find_model(str(tmp_path / "a.onnx"), "pose").decode["kind"] == "simcc"
    with pytest.raises(Vid3dError, match="is a pose model: give it with --pose"):
        find_model(str(tmp_path), "detection")
    (tmp_path / "b.txt").write_text("")
    with pytest.raises(Vid3dError, match="is no 2D model"):
        find_model(str(tmp_path / "b.txt"), "pose")


def test_config_and_checkpoint_without_a_manifest(tmp_path):
    (tmp_path / "net.py").write_text("")
    with pytest.raises(Vid3dError, match=r"holds 0 files \*.pth"):
        find_model(str(tmp_path), "pose")
    (tmp_path / "best.pth").write_bytes(b"")
    for path in (tmp_path, tmp_path / "net.py", tmp_path / "best.pth"):
        manifest = find_model(str(path), "pose")
        assert {kind: file.path.name for kind, file in manifest.files.items()} == {
            "config": "net.py", "pth": "best.pth",
        }  # fmt: skip
    with pytest.raises(Vid3dError, match="has no onnx file"):
        load_estimator("onnx", str(tmp_path), str(tmp_path), "cpu")


def export(path, outputs, size=(256, 192)):
    """An ONNX file that only has a signature."""
    onnx = pytest.importorskip("onnx")
    helper, floats = onnx.helper, onnx.TensorProto.FLOAT
    source = helper.make_tensor_value_info("input", floats, ["batch", 3, *size])
    results = [helper.make_tensor_value_info(name, floats, None) for name in outputs]
    nodes = [helper.make_node("Identity", ["input"], [name]) for name in outputs]
    graph = helper.make_graph(nodes, "g", [source], results)
    opset = [helper.make_opsetid("", 17)]
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)
    return str(path)


def test_bare_onnx_of_official_exports(tmp_path):
    pose = find_model(export(tmp_path / "rtmpose-m/end2end.onnx", ["simcc_x", "simcc_y"]), "pose")
    assert pose.input.size == (192, 256)
    assert pose.input.channels == "rgb"
    outputs = ["dets", "labels"]
    path = export(tmp_path / "rtmdet_nano_person/end2end.onnx", outputs, (320, 320))
    detector = find_model(path, "detection")
    assert detector.decode["kind"] == "end2end"
    assert detector.input.mean == (103.53, 116.28, 123.675)
    yolox = find_model(export(tmp_path / "yolox_m.onnx", outputs, (640, 640)), "detection")
    assert yolox.input.mean == (0, 0, 0)


def test_bare_onnx_that_does_not_say_enough(tmp_path):
    for name, outputs in (("a.onnx", ["heat"]), ("b.onnx", ["dets", "labels"])):
        with pytest.raises(Vid3dError, match=r"write .*json beside it, a manifest"):
            find_model(export(tmp_path / name, outputs), "pose")
    (tmp_path / "c.onnx").write_bytes(b"nothing")
    with pytest.raises(Vid3dError, match="is not an ONNX model"):
        find_model(str(tmp_path / "c.onnx"), "pose")


def test_networks_that_do_not_fit_their_manifest(tmp_path):
    from vid3d.pose2d.onnx import Network

    export(tmp_path / "a.onnx", ["simcc_x"])
    path = tmp_path / "manifest.json"
    with pytest.raises(Vid3dError, match="its manifest says 3 channels of 96 x 128"):
        Network(parse_manifest({**POSE, "input": {"size": [96, 128]}}, path), "cpu")
    with pytest.raises(Vid3dError, match="has no output 'heat'"):
        Network(parse_manifest({**POSE, "outputs": ["heat"]}, path), "cpu")


def test_providers_of_devices():
    from vid3d.pose2d.onnx import _providers

    cpu, gpu = "CPUExecutionProvider", "CUDAExecutionProvider"
    assert _providers("cpu", [gpu, cpu]) == [cpu]
    assert _providers("cuda", [cpu]) == [cpu]
    assert _providers("cuda", [gpu, cpu]) == [(gpu, {"device_id": 0}), cpu]
    assert _providers("cuda:2", [gpu, cpu]) == [(gpu, {"device_id": 2}), cpu]


def test_unknown_backends_and_devices():
    with pytest.raises(Vid3dError, match="unknown backend 'tflite'"):
        load_estimator("tflite")
    with pytest.raises(Vid3dError, match="unknown device 'gpu'"):
        load_estimator(device="gpu")


# ---------------------------------------------------------------- networks of other people


def network_of(path, nodes, inputs, outputs, constants=(), **manifest):
    """An ONNX file, as the manifest says; inputs and outputs are (name, type, shape)."""
    onnx = pytest.importorskip("onnx")
    helper = onnx.helper
    described = (
        [helper.make_tensor_value_info(*each) for each in some] for some in (inputs, outputs)
    )
    arrays = [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in constants]
    made = [helper.make_node(kind, *rest, **options) for kind, *rest, options in nodes]
    graph = helper.make_graph(made, "g", *described, arrays)
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)
    fields = {"schema": 1, "name": path.stem, "files": {"onnx": {"path": path.name}}, **manifest}
    return parse_manifest(fields, path)


FLOAT, UINT8, INT64, FLOAT16 = 1, 2, 7, 10  # onnx.TensorProto


def as_many_boxes_as_bright(path):
    """A detector for one picture at a time that gives as many boxes as the picture is bright."""
    box = np.array([[[8, 8, 24, 40, 0.9]]], np.float32)
    return network_of(
        path,
        [
            ("ReduceMax", ["input"], ["bright"], {"axes": [1, 2, 3], "keepdims": 0}),
            ("Cast", ["bright"], ["count"], {"to": INT64}),
            ("Concat", ["one", "count"], ["labels_shape"], {"axis": 0}),
            ("Concat", ["labels_shape", "five"], ["dets_shape"], {"axis": 0}),
            ("Expand", ["box", "dets_shape"], ["dets"], {}),
            ("Expand", ["person", "labels_shape"], ["labels"], {}),
        ],
        [("input", FLOAT, [1, 3, 64, 64])],
        [("dets", FLOAT, [1, None, 5]), ("labels", INT64, [1, None])],
        [("one", [1]), ("five", [5]), ("box", box), ("person", [[0]])],
        task="detection",
        input={"size": [64, 64], "pad": 0},
        decode={"kind": "end2end"},
    )


def test_detectors_of_single_pictures_find_as_many_as_there_are(tmp_path):
    from vid3d.pose2d.onnx import OnnxDetector

    detect = OnnxDetector(as_many_boxes_as_bright(tmp_path / "net.onnx"))
    found = detect([np.full((32, 64, 3), level, np.uint8) for level in (2, 0, 1)])
    assert [boxes.tolist() for boxes, _ in found] == [[[8, 8, 24, 32]], [], [[8, 8, 24, 32]]]


def peaks_at(path, bins, kind):
    """A pose network that puts all joints of bright pictures at these SimCC bins."""
    nodes = [
        ("ReduceMax", ["input"], ["bright"], {"axes": [1, 2, 3], "keepdims": 1}),
        ("Reshape", ["bright", "shape"], ["level"], {}),
    ]
    constants = [("shape", [-1, 1, 1])]
    for axis, place in zip("xy", bins, strict=True):
        peak = np.zeros((1, 17, 64), np.float16 if kind == FLOAT16 else np.float32)
        peak[..., place] = 0.5
        constants.append((f"peak_{axis}", peak))
        nodes.append(("Mul", ["level", f"peak_{axis}"], [f"simcc_{axis}"], {}))
    return network_of(
        path,
        nodes,
        [("input", kind, ["n", 3, 32, 32])],
        [(f"simcc_{axis}", kind, ["n", 17, 64]) for axis in "xy"],
        constants,
        task="pose",
        input={"size": [32, 32]},
        decode={"kind": "simcc"},
    )


@pytest.mark.parametrize("kind", [FLOAT, FLOAT16])
def test_networks_of_single_and_half_floats(tmp_path, kind):
    from vid3d.pose2d.onnx import OnnxPose

    pose = OnnxPose(peaks_at(tmp_path / "net.onnx", (20, 40), kind))
    image, box = np.ones((80, 80, 3), np.uint8), np.array([[20.0, 20, 52, 52]])
    ((points, confidence),) = pose([image], [box])
    # bins 20 and 40 are pixels 10 and 20 of 32, which show 40 pixels about (36, 36)
    np.testing.assert_allclose(points[0], [[36 - 6 * 1.25, 36 + 4 * 1.25]] * 17)
    np.testing.assert_allclose(confidence, 0.5)
    assert points.dtype == confidence.dtype == np.float32


def test_however_many_people_no_more_crops_are_made_than_are_run_at_once(tmp_path, monkeypatch):
    from vid3d.pose2d import onnx

    made = []

    def counted(images, boxes, spec):
        made.append(len(images))
        return crops(images, boxes, spec)

    monkeypatch.setattr(onnx, "crops", counted)
    monkeypatch.setattr(onnx, "BATCH", 3)
    pose = onnx.OnnxPose(peaks_at(tmp_path / "net.onnx", (32, 32), FLOAT))
    boxes = [np.array([[x, 0, x + 32, 32.0] for x in range(count)]) for count in (4, 0, 3)]
    found = pose([np.ones((64, 64, 3), np.uint8)] * 3, boxes)
    assert made == [3, 3, 1]
    assert [points[:, 0, 0].tolist() for points, _ in found] == [[16, 17, 18, 19], [], [16, 17, 18]]


def added(path, inputs):
    """A model that adds a constant of 3 x 32 x 32 to its first input."""
    return network_of(
        path,
        [("Cast", ["input"], ["floats"], {"to": FLOAT}), ("Add", ["floats", "one"], ["heat"], {})],
        inputs,
        [("heat", FLOAT, None)],
        [("one", np.ones((1, 3, 32, 32), np.float32))],
        task="pose",
        input={"size": [32, 32]},
        decode={"kind": "heatmap"},
    )


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ([("input", UINT8, ["n", 3, 32, 32])], r"takes input tensor\(uint8\), expected pictures"),
        (
            [("input", FLOAT, ["n", 3, 32, 32]), ("scale", FLOAT, [1, 2])],
            r"takes input tensor\(float\), scale tensor\(float\), expected pictures of floats and",
        ),
    ],
)
def test_networks_that_take_something_else_are_refused(tmp_path, inputs, words):
    from vid3d.pose2d.onnx import Network

    with pytest.raises(Vid3dError, match=words):
        Network(added(tmp_path / "net.onnx", inputs), "cpu")


def test_networks_that_fail_while_they_run_say_so_in_a_line(tmp_path):
    from vid3d.pose2d.onnx import Network

    says_any_size = [("input", FLOAT, ["n", 3, "h", "w"])]
    network = Network(added(tmp_path / "net.onnx", says_any_size), "cpu")
    with pytest.raises(Vid3dError, match=r"net cannot be run on \(1, 3, 64, 48\)") as error:
        network(np.zeros((1, 3, 64, 48), np.float32))
    assert "\n" not in str(error.value)
