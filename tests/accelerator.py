"""An accelerator that is none: its tensors live on the CPU but only work with one another.

torch refuses to mix tensors of two devices, and so does this device, which is called "elsewhere".
What runs through here without an error would find all of its tensors on a GPU too. Arithmetic is
the CPU's, so answers must be the CPU's as well.

python tests/accelerator.py WHAT...    # runs `elsewhere_WHAT` of this file, prints JSON
"""

import contextlib
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils import backend_registration
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

REPO = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPO))
aten = torch.ops.aten
CROSSING = {aten._to_copy.default, aten.copy_.default}  # between devices is what they are for
INDEXING = {aten.index.Tensor, aten.index_put_.default, aten._index_put_impl_.default}


class Elsewhere(torch.Tensor):
    """A tensor on the device; ``inner`` holds its values."""

    @staticmethod
    def __new__(cls, inner):
        return torch.Tensor._make_wrapper_subclass(
            cls, inner.shape, strides=inner.stride(), storage_offset=inner.storage_offset(),
            dtype=inner.dtype, device="elsewhere:0", requires_grad=inner.requires_grad,
        )  # fmt: skip

    def __init__(self, inner):
        self.inner = inner

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return compute(func, args, kwargs or {})


def compute(func, args, kwargs):
    """Run an operation on the CPU, if its tensors may meet; the result is where they are."""
    tensors = [x for x in tree_flatten((args, kwargs))[0] if isinstance(x, torch.Tensor)]
    far = any(isinstance(x, Elsewhere) for x in tensors)
    near = any(not isinstance(x, Elsewhere) and x.ndim for x in tensors)
    if far and near and func not in CROSSING | INDEXING:
        told = ", ".join(f"{tuple(x.shape)} {x.device}" for x in tensors)
        raise RuntimeError(f"{func} of tensors on two devices: {told}")
    device = kwargs.get("device")
    if device is not None:
        far = torch.device(device).type == "elsewhere"
        kwargs = {**kwargs, "device": torch.device("cpu")}
    if func is aten.copy_.default:
        far = isinstance(args[0], Elsewhere)
    inner = tree_map(lambda x: x.inner if isinstance(x, Elsewhere) else x, (args, kwargs))
    result = func(*inner[0], **inner[1])
    if func is aten._local_scalar_dense.default:
        return result
    if func._schema.name.endswith("_") and isinstance(args[0], Elsewhere):
        return args[0]
    return tree_map(lambda x: Elsewhere(x) if far and isinstance(x, torch.Tensor) else x, result)


class Machine(TorchDispatchMode):
    """A machine that has the device."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return compute(func, args, kwargs or {})


def _empty_strided(size, stride, *, dtype=None, **_):
    return Elsewhere(torch.empty_strided(size, stride, dtype=dtype))


def _empty(size, *, dtype=None, **_):
    return Elsewhere(torch.empty(size, dtype=dtype))


def _copy_from(source, target, non_blocking=False):
    target.inner.copy_(source.inner if isinstance(source, Elsewhere) else source)
    return target


class _Backend(backend_registration._DummyBackendModule):
    def get_amp_supported_dtype(self):
        return [torch.bfloat16, torch.float16]


def register() -> list[torch.library.Library]:
    """Make torch know the device, as long as the libraries live; autocasting does nothing there."""
    backend_registration._setup_privateuseone_for_python_backend("elsewhere", _Backend())
    torch.__future__.set_swap_module_params_on_conversion(True)
    torch.inference_mode = torch.no_grad  # type: ignore[misc]  # wrapped tensors have no versions there
    library = torch.library.Library("aten", "IMPL")
    library.impl("empty_strided", _empty_strided, "PrivateUse1")
    library.impl("empty.memory_format", _empty, "PrivateUse1")
    library.impl("_copy_from", _copy_from, "PrivateUse1")
    autocast = torch.library.Library("_", "IMPL")
    autocast.fallback(torch.library.fallthrough_kernel, "AutocastPrivateUse1")
    return [library, autocast]


# ---------------------------------------------------------------- what is run there


def elsewhere_mixing() -> dict[str, Any]:
    """That the device does its work."""
    with Machine():
        there = torch.ones(3, device="elsewhere")
        try:
            there + torch.ones(3)
        except RuntimeError as error:
            return {"error": str(error), "sum": float((there + there).sum())}
    return {}


def elsewhere_lifting() -> dict[str, Any]:
    """The shipped lifter with hypotheses: largest difference to the CPU, metres."""
    from vid3d.camera import Camera
    from vid3d.lifter.lifter import Lifter

    rng = np.random.default_rng(0)
    looks = rng.normal(size=(12, 17, 2)) * 60 + [320, 240]
    options: Any = {
        "times": np.arange(12) * 0.2, "out_times": np.arange(100) * 0.02, "hypotheses": 3,
        "camera": Camera.from_fov(60, (640, 480)), "joint_set": "coco17",
    }  # fmt: skip
    lifter = Lifter.load("vid3d-base")
    expected = lifter(looks, np.full((12, 17), 0.9), **options)
    with Machine():
        lifter.device = torch.device("elsewhere:0")
        lifter.networks.as_module().to(lifter.device)
        found = lifter(looks, np.full((12, 17), 0.9), **options)
    return {
        name: float(np.abs(getattr(found, name) - getattr(expected, name)).max())
        for name in ("joints3d", "spread", "root_spread")
    }


def elsewhere_lifter_training() -> dict[str, Any]:
    """Two steps and two looks at the dev set, batches made on the device: the losses."""
    from lifter_toys import motion, training_options
    from mmengine.config import Config

    from vid3d.data.batches import Motions
    from vid3d.training import lifter

    def load_motions(*_: Any) -> Any:
        clips = [motion(200, seed=seed) for seed in range(3)]
        train = Motions(clips[:2])
        return train, Motions(clips[2:], train.actions)

    lifter.load_motions = load_motions
    lifter._generator = lambda seed: torch.Generator().manual_seed(seed)
    config = Config({**training_options(), "precision": "float32"})
    config.batches.update(noise={"learned": 0.5}, bend={"share": 0.5})

    def losses(place: Any) -> list[float]:
        with tempfile.TemporaryDirectory() as folder, place, torch.device(device):
            networks = lifter._train(config, [], Path(folder), False, None)
            assert {p.device.type for p in networks.parameters()} == {torch.device(device).type}
            lines = (Path(folder) / "metrics.jsonl").read_text().splitlines()
        return [value for line in map(json.loads, lines) for key, value in line.items()
                if key in ("loss", "dev_mpjpe_mm")]  # fmt: skip

    device = "cpu"
    expected = losses(contextlib.nullcontext())
    device = "elsewhere"
    return {"cpu": expected, "elsewhere": losses(Machine())}


def elsewhere_people() -> dict[str, Any]:
    """The mmpose backend with the shipped 2D networks: largest difference to the CPU, pixels."""
    import mmengine.structures.instance_data as instances

    from vid3d.pose2d.mmpose import MMDetDetector, MMPosePose
    from vid3d.pose2d.models import find_model

    instances.IndexType = instances.IndexType | Elsewhere  # torch.cuda.LongTensor is among them

    def look(device: str) -> tuple[Any, Any]:
        detector = MMDetDetector(find_model("vid3d-person", "detection"), device)
        pose = MMPosePose(find_model("vid3d-pose", "pose"), device)
        boxes = detector([picture])
        return boxes[0], pose([picture], [boxes[0][0]])[0]

    picture = _picture()
    expected = look("cpu")
    with Machine():
        found = look("elsewhere:0")
    assert len(expected[0][0])
    return {
        name: float(np.abs(a - b).max())
        for name, a, b in zip(
            ("boxes", "scores", "keypoints", "confidence"),
            (*expected[0], *expected[1]),
            (*found[0], *found[1]),
            strict=True,
        )
    }


def _picture() -> Any:
    """The first frame of the sample, BGR."""
    from vid3d.video.reader import VideoReader

    with VideoReader(REPO / "samples" / "two_people.mp4") as reader:
        return next(iter(reader)).image


def elsewhere_2d_training() -> dict[str, Any]:
    """Two steps of each 2D network's training."""
    from mmengine.config import Config
    from test_people2d import _toy_set

    from vid3d.training import detect2d, networks2d, pose2d

    def losses(recipe: str, size: tuple[int, int]) -> list[float]:
        config = Config.fromfile(REPO / "configs" / "pose2d" / f"{recipe}.py")
        stage = {"name": "toy", "samples": 4, "batch": 2, "lr": 1e-4, "size": size}
        config.training.stages = [stage]
        module = detect2d if config.task == "detect2d" else pose2d
        with tempfile.TemporaryDirectory() as folder:
            _toy_set(Path(folder) / "data" / "toy")
            module.train(config, [Path(folder) / "data"], Path(folder) / "work")
            lines = (Path(folder) / "work" / "metrics.jsonl").read_text().splitlines()
        return [json.loads(line)["loss"] for line in lines]

    sizes = {"vid3d-pose": (192, 256), "rtmpose-t": (192, 256), "vid3d-person": (320, 320)}
    detect2d.export = pose2d.export = lambda *_: None
    expected = {name: losses(name, size) for name, size in sizes.items()}
    networks2d.find_device = lambda _: "elsewhere"
    with Machine():
        found = {name: losses(name, size) for name, size in sizes.items()}
    return {"cpu": expected, "elsewhere": found}


def main() -> None:
    """Run what the command line names and print what it says."""
    libraries = register()
    print(json.dumps({name: globals()[f"elsewhere_{name}"]() for name in sys.argv[1:]}))
    del libraries


if __name__ == "__main__":
    main()
