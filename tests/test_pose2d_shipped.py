"""The shipped networks through both backends on the sample."""

import numpy as np
import pytest

from vid3d.pose2d.estimator import load_estimator
from vid3d.pose2d.openmmlab import is_installed
from vid3d.weights import shipped_models


@pytest.fixture(scope="module")
def frames(repo):
    """Four frames of the sample, over its length."""
    av = pytest.importorskip("av")
    with av.open(str(repo / "samples/two_people.mp4")) as container:
        images = [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]
    return [images[int(share * (len(images) - 1))] for share in (0.1, 0.35, 0.6, 0.9)]


@pytest.fixture(scope="module")
def by_onnx(frames):
    if not {"vid3d-person", "vid3d-pose"} <= set(shipped_models()):
        pytest.skip("vid3d-person and vid3d-pose are not in weights/")
    return load_estimator("onnx", device="cpu")(frames)


def test_both_people_are_found_and_upright(by_onnx):
    for people in by_onnx:
        assert len(people) == 2
        nose, hips, ankles = (
            people.keypoints[:, [*i], 1].mean(1) for i in ((0,), (11, 12), (15, 16))
        )
        assert (nose < hips).all()
        assert (hips < ankles).all()


@pytest.mark.skipif(not is_installed(), reason="OpenMMLab is not installed")
def test_both_backends_agree(by_onnx, frames):
    by_mmpose = load_estimator("mmpose", device="cpu")(frames)
    for a, b in zip(by_onnx, by_mmpose, strict=True):
        assert len(a) == len(b)
        np.testing.assert_allclose(a.boxes, b.boxes, atol=0.5)
        # one pixel of the crop: a bin more or less where two maxima are equal
        pixel = 1.25 * (a.boxes[:, 3] - a.boxes[:, 1]) / 256
        apart = np.linalg.norm(a.keypoints - b.keypoints, axis=-1) / pixel[:, None]
        assert (apart < 1).mean() > 0.95
        np.testing.assert_allclose(a.confidence, b.confidence, atol=0.05)
