"""The shipped networks through both backends on the sample."""

import numpy as np
import pytest

from vid3d.data.pairs import read_pairs
from vid3d.pose2d.estimator import load_estimator
from vid3d.pose2d.openmmlab import is_installed
from vid3d.weights import shipped_models

LOOKS = (20, 70, 130, 200)


@pytest.fixture(scope="module")
def frames(repo):
    """Four frames of the sample, over its length."""
    av = pytest.importorskip("av")
    with av.open(str(repo / "samples/two_people.mp4")) as container:
        images = enumerate(container.decode(video=0))
        return [image.to_ndarray(format="bgr24") for i, image in images if i in LOOKS]


@pytest.fixture(scope="module")
def by_onnx(frames):
    if not {"vid3d-person", "vid3d-pose"} <= set(shipped_models()):
        pytest.skip("vid3d-person and vid3d-pose are not in weights/")
    return load_estimator("onnx", device="cpu")(frames)


def test_people_of_the_sample_are_found_upright(by_onnx, repo):
    truth = read_pairs(repo / "samples/two_people.pairs.npz")
    apart = []
    for look, people in zip(LOOKS, by_onnx, strict=True):
        for person in truth:
            wanted, seen = person.keypoints2d[look], person.confidence[look] > 0
            height = np.ptp(wanted[seen, 1])
            distance = np.linalg.norm(people.keypoints - wanted, axis=-1)[:, seen].mean(1)
            apart.append(distance.min(initial=np.inf) / height)
    # a skeleton upside down is half a body away
    assert (np.array(apart) < 0.2).sum() >= 6, apart


@pytest.fixture
def one_thread():
    """Threads of torch that wait for each other are slow where other tests run beside."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("one_thread")
@pytest.mark.skipif(not is_installed(), reason="OpenMMLab is not installed")
def test_both_backends_agree(by_onnx, frames):
    by_mmpose = load_estimator("mmpose", device="cpu")(frames)
    for a, b in zip(by_onnx, by_mmpose, strict=True):
        assert len(a) == len(b)
        np.testing.assert_allclose(a.boxes, b.boxes, atol=0.5)
        # one pixel of the crop: a bin more or less where two maxima are equal
        pixel = 1.25 * (a.boxes[:, 3] - a.boxes[:, 1]) / 256
        apart = np.linalg.norm(a.keypoints - b.keypoints, axis=-1) / pixel[:, None]
        assert (apart >= 1).sum() <= 0.05 * apart.size
        np.testing.assert_allclose(a.confidence, b.confidence, atol=0.05)
