import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vid3d.errors import Vid3dError
from vid3d.evaluation.confidence import calibration_error, fit_calibration, scored_joints
from vid3d.evaluation.people2d import PosedPerson
from vid3d.pose2d.confidence import CalibratedPose, Calibration
from vid3d.pose2d.manifest import parse_manifest

MANIFEST = {
    "schema": 1,
    "task": "pose",
    "files": {"onnx": {"path": "a.onnx"}},
    "input": {"size": [192, 256]},
    "decode": {"kind": "simcc"},
}
TABLE = {"score": [0.0, 0.5, 1.0], "probability": [0.0, 0.2, 0.9]}


def test_calibration_by_hand():
    table = Calibration((0.2, 0.5), (0.1, 0.4))
    given_scores = np.array([[0.0, 0.1, 0.2, 0.35, 0.5, 1.0]])
    np.testing.assert_allclose(table(given_scores), [[0, 0.1, 0.1, 0.25, 0.4, 0.4]], rtol=1e-6)
    assert table(given_scores).dtype == np.float32


def test_manifest_holds_the_calibration(tmp_path):
    path = tmp_path / "manifest.json"
    assert parse_manifest(MANIFEST, path).calibration is None
    manifest = parse_manifest({**MANIFEST, "calibration": TABLE}, path)
    assert manifest.calibration == Calibration((0, 0.5, 1), (0, 0.2, 0.9))


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ([1, 2], "score"),
        ({"score": [0, 1]}, "score"),
        ({"score": [0.5], "probability": [0.5]}, "at least two"),
        ({"score": [0, 1], "probability": [0, 1, 1]}, "as many"),
        ({"score": [0, 2], "probability": [0, 1]}, "between 0 and 1"),
        ({"score": [0, "a"], "probability": [0, 1]}, "calibration"),
        ({"score": [0, 1], "probability": [0.5, 0.4]}, "must rise"),
        ({"score": [1, 1], "probability": [0.5, 0.6]}, "must rise"),
    ],
)
def test_bad_calibrations_are_refused(tmp_path, entry, message):
    with pytest.raises(Vid3dError, match=message):
        parse_manifest({**MANIFEST, "calibration": entry}, tmp_path / "manifest.json")


def test_calibration_belongs_to_pose_models(tmp_path):
    detector = {**MANIFEST, "task": "detection", "decode": {"kind": "rtmdet"}}
    with pytest.raises(Vid3dError, match="pose models"):
        parse_manifest({**detector, "calibration": TABLE}, tmp_path / "manifest.json")


class Fixed:
    """A pose network that answers the same for everybody."""

    name, joint_set = "fixed", "coco17"

    def __init__(self, points, scores):
        self.answer = np.asarray(points, np.float32), np.asarray(scores, np.float32)

    def __call__(self, images, boxes):
        points, scores = self.answer
        return [(np.tile(points, (len(b), 1, 1)), np.tile(scores, (len(b), 1))) for b in boxes]


def test_network_with_calibrated_confidence():
    plain = Fixed(np.ones((17, 2)), np.linspace(0, 1, 17))
    network = CalibratedPose(plain, Calibration((0, 0.5, 1), (0, 0.2, 0.9)))
    ((points, confidence),) = network([None], [np.zeros((2, 4))])
    assert (network.name, network.joint_set, points.shape) == ("fixed", "coco17", (2, 17, 2))
    np.testing.assert_allclose(confidence[1, [0, 8, 16]], [0, 0.2, 0.9], rtol=1e-6)


def test_scored_joints_by_hand():
    truth = np.zeros((17, 2), np.float32)
    points = truth.copy()
    points[:3, 0] = 1.9, 2.1, 50  # the torso is 10 pixels long: 2 is the limit
    known = np.arange(17) < 3
    person = PosedPerson(np.zeros((9, 9, 3), np.uint8), np.array([0, 0, 5, 20]), truth, known, 10.0)
    scores, right = scored_joints(Fixed(points, np.full(17, 0.7)), [person])
    assert (scores == np.float32(0.7)).all()
    assert right.tolist() == [True, False, False]
    tiny = PosedPerson(person.image, person.box, truth, known, 1.0)
    with pytest.raises(Vid3dError, match="nobody"):
        scored_joints(Fixed(points, np.full(17, 0.7)), [tiny])


def test_fit_by_hand():
    # Two bins: 1 of 4 right at a mean score of 0.25, 3 of 4 at 0.75.
    scores = np.array([0.1, 0.2, 0.3, 0.4, 0.6, 0.7, 0.8, 0.9])
    right = np.array([1, 0, 0, 0, 0, 1, 1, 1], bool)
    table = fit_calibration(scores, right, pieces=2)
    assert table == Calibration((0, 0.25, 0.75), (0, 0.25, 0.75))
    # Bins that fall are pooled.
    table = fit_calibration(scores, ~right, pieces=2)
    assert table == Calibration((0, 0.25, 0.75), (0, 0.5, 0.5))
    with pytest.raises(Vid3dError, match="hardly differ"):
        fit_calibration(np.full(8, 0.5), right)


def test_calibration_error_by_hand():
    confidence = np.array([0.95, 0.95, 0.15, 0.15])
    right = np.array([1, 0, 0, 0], bool)
    # gaps: |1.9 - 1| and |0.3 - 0|, over four joints
    assert calibration_error(confidence, right) == pytest.approx((0.9 + 0.3) / 4)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_fitted_confidence_is_honest(seed):
    rng = np.random.default_rng(seed)
    scores = rng.uniform(0.2, 1, 4000)
    right = rng.random(4000) < scores**2
    table = fit_calibration(scores[::2], right[::2])
    honest = calibration_error(table(scores[1::2]), right[1::2])
    assert honest < 0.06 < calibration_error(scores[1::2], right[1::2])
