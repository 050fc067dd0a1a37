"""The manifest of a 2D model: how to feed a network and how to read its answer, without code.

A model is a folder with `manifest.json`. Its fields:

    schema      1
    name        how summaries call the model
    task        "detection" (person boxes) or "pose" (17 joints in a box)
    files       {"onnx"|"pth"|"config": {"path": in the manifest's folder, "sha256": optional}};
                `pth` and `config` are an MMPose or MMDet checkpoint and its config
    input       size [width, height] · channels "bgr" or "rgb" · mean, std: three numbers in the
                order of the channels for values 0..255 · resize "letterbox" (scaled, placed
                top-left, padded), "stretch" or "crop" (pose: the box widened to the shape of the
                input, times 1.25) · pad: value outside the image · interpolation "linear" or
                "cubic"
    decode      {"kind": ..., options}; kinds and options in `DECODERS`
    outputs     names of the ONNX outputs in the order that the decoder takes them, where the
                file's own order is another
    joint_set   pose only: "coco17", "h36m17", or "halpe26" or "wholebody133", of which
                the first 17 joints, COCO's, are used
    thresholds  {"score": boxes below are dropped, "iou": overlap above is one person}
    calibration pose only: {"score": [...], "probability": [...]}, what the network's scores are
                worth (`confidence.Calibration`); without it scores are taken as they are
    licence, about   free; what a reader should know

`schema`, `files`, `task` and, for ONNX, `input` and `decode` are needed; the rest has defaults.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from vid3d.errors import Vid3dError
from vid3d.files import below, read_json, sha256_of
from vid3d.pose2d.confidence import Calibration
from vid3d.weights import ModelFile

SCHEMA = 1
FILE_NAME = "manifest.json"

DECODERS: dict[str, dict[str, dict[str, Any]]] = {
    "pose": {
        # two 1-D distributions a joint; `split_ratio` bins a pixel (SimCC, arXiv 2107.03332)
        "simcc": {"split_ratio": 2.0, "confidence_scale": 1.0},
        # one map a joint; `refine` places the peak between cells (`decode.heatmap`)
        "heatmap": {"refine": "dark", "blur": 11, "confidence_scale": 1.0},
    },
    "detection": {
        # raw heads of RTMDet: logits and distances at each stride
        "rtmdet": {"strides": (8, 16, 32), "person_class": 0},
        # rows of centre, size, objectness, classes; not yet on the grid
        "yolox": {"strides": (8, 16, 32), "person_class": 0},
        # boxes (1, n, 4) in input pixels and scores (1, classes, n)
        "picodet": {"person_class": 0},
        # non-maximum suppression inside: dets (1, n, 5) in input pixels and labels (1, n)
        "end2end": {"person_class": 0},
    },
}
REFINEMENTS = ("dark", "expectation", "none")
JOINT_SETS = ("coco17", "h36m17", "halpe26", "wholebody133")
_FILES = ("onnx", "pth", "config")
_FIELDS = (
    "schema", "name", "task", "files", "input", "decode", "outputs", "joint_set", "thresholds",
    "calibration", "licence", "about",
)  # fmt: skip


@dataclass(frozen=True)
class InputSpec:
    """How an image or a crop becomes the network's input.

    Attributes:
        size: width and height.
        channels: "bgr" or "rgb".
        mean: what is subtracted from the values 0..255, in the order of the channels.
        std: what they are divided by then.
        resize: "letterbox", "stretch" or "crop".
        pad: value 0..255 outside the image.
        interpolation: "linear" or "cubic".
    """

    size: tuple[int, int]
    channels: str = "bgr"
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    resize: str = "letterbox"
    pad: float = 114.0
    interpolation: str = "linear"

    def __post_init__(self) -> None:
        numbers = {"size": 2, "mean": 3, "std": 3}
        for name, count in numbers.items():
            values = getattr(self, name)
            if not (isinstance(values, (list, tuple)) and len(values) == count
                    and all(_is_number(value) for value in values)):  # fmt: skip
                raise ValueError(f"input.{name} must be {count} numbers, not {values!r}")
            object.__setattr__(self, name, tuple(values))
        if not all(isinstance(side, int) and side > 0 for side in self.size):
            raise ValueError(f"input.size must be [width, height] in pixels, not {self.size!r}")
        if not all(value > 0 for value in self.std):
            raise ValueError(f"input.std must be positive, not {self.std!r}")
        if not _is_number(self.pad):
            raise ValueError(f"input.pad must be a number, not {self.pad!r}")
        _one_of("input.channels", self.channels, ("bgr", "rgb"))
        _one_of("input.resize", self.resize, ("letterbox", "stretch", "crop"))
        _one_of("input.interpolation", self.interpolation, ("linear", "cubic"))


@dataclass(frozen=True)
class Manifest:
    """A validated manifest; see the module's text for the meaning of the fields."""

    name: str
    task: str
    files: Mapping[str, ModelFile]
    input: InputSpec | None = None
    decode: Mapping[str, Any] = field(default_factory=dict)
    outputs: tuple[str, ...] = ()
    joint_set: str = "coco17"
    score_threshold: float = 0.35
    iou_threshold: float = 0.5
    calibration: Calibration | None = None
    licence: str = ""

    def file(self, kind: str) -> Path:
        """Checked path of the "onnx", "pth" or "config" file.

        Raises:
            Vid3dError: the model has none, or it is missing or damaged.
        """
        if kind not in self.files:
            raise Vid3dError(
                f"model {self.name} has no {kind} file (it has {', '.join(self.files)}); "
                "choose another --backend or model"
            )
        return self.files[kind].check()

    def identity(self) -> dict[str, Any]:
        """All that answers depend on, for JSON: the fields, and the files by their bytes."""
        files = {kind: sha256_of(file.path) for kind, file in self.files.items()}
        return {**asdict(replace(self, files={}, licence="")), "files": files}


def load_manifest(path: str | Path) -> Manifest:
    """Read a manifest, given its file or its folder.

    Raises:
        Vid3dError: there is none, or it is not valid; the message names the field.
    """
    path = Path(path)
    if path.is_dir():
        path = path / FILE_NAME
    try:
        fields = read_json(path)
    except OSError as error:
        raise Vid3dError(f"cannot read model manifest {path}: {error.strerror}") from error
    except ValueError as error:
        raise Vid3dError(f"model manifest {path} is not JSON: {error}") from error
    return parse_manifest(fields, path)


def parse_manifest(fields: Any, path: Path) -> Manifest:
    """Validate the fields of a manifest; its files are relative to the folder of `path`.

    Raises:
        Vid3dError: a field is missing, unknown or wrong.
    """
    try:
        return _manifest(fields, path)
    except (ValueError, TypeError, AttributeError) as error:
        raise Vid3dError(f"model manifest {path}: {error}; see docs/models.md") from error


def _manifest(fields: Any, path: Path) -> Manifest:
    if not isinstance(fields, dict):
        raise ValueError("expected a JSON object")
    if unknown := sorted(set(fields) - set(_FIELDS)):
        raise ValueError(f"unknown field {unknown[0]!r} (known: {', '.join(_FIELDS)})")
    if fields.get("schema") != SCHEMA:
        raise ValueError(f"schema is {fields.get('schema')!r}, this vid3d reads {SCHEMA}")
    task = _one_of("task", fields.get("task"), tuple(DECODERS))
    files = _files(fields.get("files"), path.parent)
    if "onnx" in files and not {"input", "decode"} <= set(fields):
        raise ValueError("an onnx file needs the fields input and decode")
    thresholds = fields.get("thresholds", {})
    if not isinstance(thresholds, dict):
        raise ValueError("thresholds must be an object")
    if unknown := sorted(set(thresholds) - {"score", "iou"}):
        raise ValueError(f"unknown threshold {unknown[0]!r} (known: score, iou)")
    return Manifest(
        name=str(fields.get("name") or path.parent.name),
        task=task,
        files=files,
        input=_input(fields["input"], task) if "input" in fields else None,
        decode=_decode(fields["decode"], task) if "decode" in fields else {},
        outputs=_outputs(fields.get("outputs", [])),
        joint_set=_one_of("joint_set", fields.get("joint_set", "coco17"), JOINT_SETS),
        score_threshold=_share("thresholds.score", thresholds.get("score", 0.35)),
        iou_threshold=_share("thresholds.iou", thresholds.get("iou", 0.5)),
        calibration=_calibration(fields["calibration"], task) if "calibration" in fields else None,
        licence=str(fields.get("licence", "")),
    )


def _files(entries: Any, folder: Path) -> dict[str, ModelFile]:
    if not isinstance(entries, dict) or not entries:
        raise ValueError(f"files must name at least one of {', '.join(_FILES)}")
    files = {}
    for kind, entry in entries.items():
        _one_of("a key of files", kind, _FILES)
        if not isinstance(entry, dict) or not isinstance(entry.get("path"), str):
            raise ValueError(f'files.{kind} must be {{"path": ..., "sha256": ...}}')
        sha256 = entry.get("sha256")
        if sha256 is not None and not (isinstance(sha256, str) and len(sha256) == 64):
            raise ValueError(f"files.{kind}.sha256 must be 64 hexadecimal digits")
        files[kind] = ModelFile(below(folder, entry["path"]), sha256)
    if ("pth" in files) != ("config" in files):
        raise ValueError("files.pth and files.config belong together")
    return files


def _input(entry: Any, task: str) -> InputSpec:
    if not isinstance(entry, dict):
        raise ValueError("input must be an object")
    resize = "crop" if task == "pose" else "letterbox"
    spec = InputSpec(**{"resize": resize, "pad": 0 if task == "pose" else 114, **entry})
    if (spec.resize == "crop") != (task == "pose"):
        raise ValueError(f"input.resize {spec.resize!r} does not fit a {task} model")
    return spec


def _decode(entry: Any, task: str) -> dict[str, Any]:
    if not isinstance(entry, dict):
        raise ValueError('decode must be {"kind": ..., options}')
    kind = _one_of("decode.kind", entry.get("kind"), tuple(DECODERS[task]))
    defaults = DECODERS[task][kind]
    given = {name: value for name, value in entry.items() if name != "kind"}
    for name, value in given.items():
        _one_of(f"an option of decode.kind {kind}", name, tuple(defaults))
        if name == "refine":
            _one_of("decode.refine", value, REFINEMENTS)
            continue
        right = (isinstance(value, list) and all(type(v) is int and v > 0 for v in value)
                 if isinstance(defaults[name], tuple)
                 else type(value) is int and value >= 0 if isinstance(defaults[name], int)
                 else _is_number(value) and value > 0)  # fmt: skip
        if not right:
            raise ValueError(f"decode.{name} must be like {defaults[name]!r}, not {value!r}")
    if given.get("blur", 1) % 2 == 0:
        raise ValueError(f"decode.blur must be odd, not {given['blur']}")
    return {"kind": kind, **defaults, **given}


def _calibration(entry: Any, task: str) -> Calibration:
    if task != "pose":
        raise ValueError("calibration belongs to pose models")
    if not isinstance(entry, dict) or set(entry) != {"score", "probability"}:
        raise ValueError('calibration must be {"score": [...], "probability": [...]}')
    return Calibration(**entry)


def _outputs(entry: Any) -> tuple[str, ...]:
    if not isinstance(entry, list) or not all(isinstance(name, str) for name in entry):
        raise ValueError("outputs must be a list of names")
    return tuple(entry)


def _one_of(what: str, value: Any, choices: tuple[str, ...]) -> str:
    if value not in choices:
        raise ValueError(f"{what} must be one of {', '.join(choices)}, not {value!r}")
    return str(value)


def _share(what: str, value: Any) -> float:
    if not (_is_number(value) and 0 <= value <= 1):
        raise ValueError(f"{what} must be between 0 and 1, not {value!r}")
    return float(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e9
