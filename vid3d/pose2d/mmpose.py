"""The mmpose backend: any MMPose top-down network behind any MMDet detector."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vid3d.errors import Vid3dError
from vid3d.pose2d.decode import joints_of
from vid3d.pose2d.manifest import Manifest
from vid3d.pose2d.openmmlab import load_checkpoint, prepare, quiet
from vid3d.pose2d.people import JOINTS
from vid3d.pose2d.preprocess import clipped
from vid3d.skeleton import COCO17
from vid3d.video.frame import Image

BATCH = 32
"""Most crops in one forward pass: bounds memory."""

_JOINT_SETS = {17: "coco17", 26: "halpe26", 133: "wholebody133"}
_PEOPLE = ("person", "people", "pedestrian", "human")
"""What data sets call their class of people."""


class _Model:
    """A network built from its config, with its checkpoint and its test pipeline.

    Attributes:
        half: whether it computes in float16, as it does on a GPU.
    """

    def __init__(self, manifest: Manifest, device: str, scope: str) -> None:
        prepare()
        from mmengine.config import Config
        from mmengine.dataset import Compose
        from mmengine.registry import MODELS

        self.name = manifest.name
        self._scope = scope
        self._device = torch.device(device)
        self.half = self._device.type == "cuda"
        config_path, checkpoint = manifest.file("config"), manifest.file("pth")
        with quiet():
            try:
                self.config = Config.fromfile(config_path)
                self._adapt(manifest)
                with self._in_scope():
                    self.network = MODELS.build(self.config.model)
                    self._pipeline = Compose(self._test_pipeline())
            except Vid3dError:
                raise
            except Exception as error:  # a config is code: anything can go wrong in it
                raise Vid3dError(
                    f"{config_path} is not a config that this {scope} can build ({error})"
                ) from error
        self._load(checkpoint)
        self.network.to(self._device).eval()

    def _adapt(self, manifest: Manifest) -> None:
        """Change what a config says for training; the weights come from the checkpoint."""
        self.config.model.train_cfg = None
        if "backbone" in self.config.model:
            self.config.model.backbone.init_cfg = None

    def _test_pipeline(self) -> list[Any]:
        return list(self.config.test_dataloader.dataset.pipeline)

    def _load(self, checkpoint: Any) -> None:
        from mmengine.model.utils import revert_sync_batchnorm

        loaded = load_checkpoint(checkpoint)
        state = loaded.get("state_dict", loaded) if isinstance(loaded, dict) else {}
        self._meta = loaded.get("meta") if isinstance(loaded, dict) else None
        try:
            missing = self.network.load_state_dict(state, strict=False).missing_keys
        except RuntimeError as error:
            missing = [str(error).splitlines()[-1].strip()]
        if missing:
            raise Vid3dError(
                f"checkpoint {checkpoint} does not fit the config of {self.name} "
                f"({len(missing)} tensors are missing or differ, the first: {missing[0]})"
            )
        self.network = revert_sync_batchnorm(self.network)

    def run(self, items: Sequence[dict[str, Any]]) -> list[Any]:
        """Predictions (`pred_instances`) for raw pipeline items, in batches."""
        results: list[Any] = []
        half = torch.autocast(self._device.type, torch.float16, enabled=self.half)
        with self._in_scope(), torch.inference_mode(), half, quiet():
            for start in range(0, len(items), BATCH):
                results += self._predictions(items[start : start + BATCH])
        return results

    def _predictions(self, items: Sequence[dict[str, Any]]) -> list[Any]:
        from mmengine.dataset import pseudo_collate

        try:
            batch = [self._pipeline(dict(item)) for item in items]
            samples = self.network.test_step(pseudo_collate(batch))
        except (Vid3dError, MemoryError):
            raise
        except Exception as error:  # of whatever somebody's network is made of
            raise Vid3dError(
                f"model {self.name} cannot be run by this {self._scope} ({error}); choose another"
            ) from error
        return [sample.pred_instances for sample in samples]

    @contextlib.contextmanager
    def _in_scope(self) -> Iterator[None]:
        """Names in configs mean this package's; mmpose and mmdet share one process."""
        from mmengine.registry import DefaultScope

        with DefaultScope.overwrite_default_scope(self._scope):
            yield


class MMDetDetector(_Model):
    """Person boxes of whole images from an MMDet detector."""

    def __init__(self, manifest: Manifest, device: str = "cpu") -> None:
        self._threshold = manifest.score_threshold
        super().__init__(manifest, device, "mmdet")
        said = manifest.decode.get("person_class")
        self._person = self._person_class() if said is None else int(said)

    def _adapt(self, manifest: Manifest) -> None:
        super()._adapt(manifest)
        test: Any = self.config.model.get("test_cfg") or {}
        if "score_thr" in test:  # one-stage: weak boxes need not reach suppression
            test.score_thr = max(test.score_thr, self._threshold)
        if manifest.decode and "nms" in test:
            test.nms.iou_threshold = manifest.iou_threshold

    def _test_pipeline(self) -> list[Any]:
        from mmdet.utils import get_test_pipeline_cfg

        pipeline = list(get_test_pipeline_cfg(self.config))
        pipeline[0] = {"type": "mmdet.LoadImageFromNDArray"}
        return [step for step in pipeline if "LoadAnnotations" not in str(step["type"])]

    def _person_class(self) -> int:
        """The class that is called so by the checkpoint or the config; 0 where none has names."""
        meta = self._meta if isinstance(self._meta, dict) else {}
        test = self.config.get("test_dataloader", {}).get("dataset", {})
        places = (meta.get("dataset_meta"), meta, test.get("metainfo"))
        found = (p.get("classes") or p.get("CLASSES") for p in places if isinstance(p, dict))
        names = [str(name).lower() for name in next(filter(None, found), ())]
        people = [number for number, name in enumerate(names) if name in _PEOPLE]
        if len(names) > 1 and not people:
            raise Vid3dError(
                f"of the {len(names)} classes of {self.name}, {names[0]} the first, none is "
                "person: choose another detector, or say decode.person_class in a manifest"
            )
        return people[0] if len(names) > 1 else 0

    def __call__(
        self, images: Sequence[Image]
    ) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        """Boxes (N, 4) in image pixels and scores (N,) of each image."""
        found = self.run([{"img": image, "img_id": i} for i, image in enumerate(images)])
        return [self._people(*each) for each in zip(found, images, strict=True)]

    def _people(self, found: Any, image: Image) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        boxes, scores = found.bboxes.float().cpu().numpy(), found.scores.float().cpu().numpy()
        kept = (found.labels.cpu().numpy() == self._person) & (scores >= self._threshold)
        return clipped(boxes[kept], scores[kept], image)


class MMPosePose(_Model):
    """Joints of people whose boxes are known from an MMPose top-down network."""

    def __init__(self, manifest: Manifest, device: str = "cpu") -> None:
        self._decode = dict(manifest.decode)
        super().__init__(manifest, device, "mmpose")
        self.joint_set = self._joint_set(manifest)
        if self._decode:  # what the manifest says holds for both backends
            self.network.head.predict = self._predict

    def _adapt(self, manifest: Manifest) -> None:
        super()._adapt(manifest)
        if self.config.model.get("type", "").split(".")[-1] != "TopdownPoseEstimator":
            raise Vid3dError(
                f"{self.name} is a {self.config.model.get('type')}, expected a TopdownPoseEstimator"
            )
        test = dict(self.config.model.get("test_cfg") or {})
        # the flip test doubles the time; heat maps are never looked at
        self.config.model.test_cfg = {**test, "flip_test": False, "output_heatmaps": False}

    def _joint_set(self, manifest: Manifest) -> str:
        head = self.network.head
        # maps and SimCC call the number like this, regression like that
        joints = getattr(head, "out_channels", None) or getattr(head, "num_joints", 0)
        if joints not in _JOINT_SETS:
            raise Vid3dError(
                f"{self.name} has {joints} joints; vid3d reads networks of coco17, h36m17, "
                "halpe26 or wholebody133"
            )
        dataset = str(self.config.get("dataset_type", "")).lower()
        by_config = "h36m" in dataset or "human36m" in dataset
        if by_config or manifest.joint_set == "h36m17":
            return "h36m17"
        self._check_names()
        return "coco17"

    def _check_names(self) -> None:
        """See that 17 joints are COCO's, as far as mmpose knows the data set of the config.

        Raises:
            Vid3dError: they are others, as those of PoseTrack and of animals.
        """
        from mmpose.datasets.datasets.utils import parse_pose_metainfo
        from mmpose.registry import DATASETS

        kind = DATASETS.get(str(self.config.get("dataset_type")))
        own = self.config.get("test_dataloader", {}).get("dataset", {}).get("metainfo")
        if kind is None or own:
            return
        with quiet():
            names = parse_pose_metainfo(kind.METAINFO)["keypoint_id2name"]
        other = [names[i] for i, name in enumerate(COCO17.joints) if names.get(i) != name]
        if other:
            raise Vid3dError(
                f"{self.name} is trained on {self.config.dataset_type}, whose joints are not "
                f"coco17's ({', '.join(map(str, other[:3]))}): choose a pose model of COCO's joints"
            )

    def _predict(self, features: Any, samples: Sequence[Any], test_cfg: Any) -> list[Any]:
        """In place of the head's own method: its raw outputs, decoded after the manifest."""
        from mmengine.structures import InstanceData

        outputs = self.network.head(features)
        parts = [outputs] if isinstance(outputs, torch.Tensor) else list(outputs)
        width, height = samples[0].metainfo["input_size"]
        try:
            raw = [part.float().cpu().numpy() for part in parts]
            points, scores = joints_of(raw, self._decode, (int(width), int(height)))
        except (AttributeError, IndexError, ValueError) as error:
            raise Vid3dError(
                f"model {self.name}: the outputs of its {type(self.network.head).__name__} do not "
                f"fit the decode field of its manifest ({error})"
            ) from error
        return [
            InstanceData(keypoints=point[None], keypoint_scores=score[None])
            for point, score in zip(points, scores, strict=True)
        ]

    def __call__(
        self, images: Sequence[Image], boxes: Sequence[NDArray[np.floating]]
    ) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        """Keypoints (N, 17, 2) in image pixels and confidence (N, 17) of each image."""
        items = [
            {"img": image, "bbox": box[None].astype(np.float32), "bbox_score": np.ones(1, "f4")}
            for image, of_image in zip(images, boxes, strict=True)
            for box in of_image
        ]
        posed = iter(self.run(items))
        return [self._collect([next(posed) for _ in of_image]) for of_image in boxes]

    def _collect(self, people: Sequence[Any]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        keypoints = np.zeros((len(people), JOINTS, 2), np.float32)
        confidence = np.zeros((len(people), JOINTS), np.float32)
        for i, person in enumerate(people):
            keypoints[i] = person.keypoints[0, :JOINTS]
            confidence[i] = person.keypoint_scores[0, :JOINTS]
        return keypoints, np.nan_to_num(confidence).clip(0, 1)
