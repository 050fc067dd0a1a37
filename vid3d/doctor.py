"""`vid3d doctor`: what is installed, what works, and the command that mends what does not."""

import importlib
import importlib.metadata
import io
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vid3d import __version__
from vid3d.errors import Vid3dError
from vid3d.machine import usable_cores

_NEEDED = (
    "torch", "numpy", "scipy", "opencv-python-headless", "av", "onnxruntime", "safetensors",
    "matplotlib", "click", "rich", "platformdirs", "filelock",
)  # fmt: skip
_MODULES = {"opencv-python-headless": "cv2"}
_OPENMMLAB = ("mmengine", "mmcv", "mmcv-lite", "mmdet", "mmpose", "xtcocotools", "pycocotools")


@dataclass(frozen=True)
class Finding:
    """One line of a report.

    Attributes:
        section: heading that it belongs under.
        label: what was looked at.
        value: what was found.
        mend: the command that mends it; None where nothing is wrong.
    """

    section: str
    label: str
    value: str
    mend: str | None = None


@dataclass(frozen=True)
class Report:
    """Everything that was found, in order."""

    findings: tuple[Finding, ...]

    @property
    def problems(self) -> list[Finding]:
        """Findings that need mending."""
        return [finding for finding in self.findings if finding.mend is not None]

    def text(self) -> str:
        """The report as lines for a terminal."""
        lines: list[str] = []
        section = ""
        for finding in self.findings:
            if finding.section != section:
                section = finding.section
                lines += ["", section] if lines else [section]
            mark = " " if finding.mend is None else "!"
            lines.append(f"{mark} {finding.label:<24} {finding.value}")
            if finding.mend is not None:
                lines.append(f"{'':26} mend: {finding.mend}")
        count = len(self.problems)
        lines += ["", f"{count} problem{'s' * (count != 1)}" if count else "Everything works."]
        return "\n".join(lines)


def diagnose() -> Report:
    """Look at versions, devices, codecs and weights; at versions alone where a package is missing.

    The rest cannot be imported then.
    """
    versions = Report(tuple(_versions()))
    if versions.problems:
        return versions
    return Report((*versions.findings, *_openmmlab(), *_devices(), *_codecs(), *_weights()))


def _versions() -> Iterator[Finding]:
    section = "Versions"
    yield Finding(section, "vid3d", __version__)
    yield Finding(section, "python", f"{platform.python_version()} on {platform.platform()}")
    for package in _NEEDED:
        try:
            importlib.import_module(_MODULES.get(package, package))
            yield Finding(section, package, _version(package) or "installed under another name")
        except (ImportError, OSError) as error:
            yield Finding(section, package, str(error), f'pip install "{package}"')


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _openmmlab() -> Iterator[Finding]:
    from vid3d.pose2d.openmmlab import INSTALL, INSTALL_ALL, prepare

    section = "OpenMMLab (for --backend mmpose and for training)"
    here = {package: version for package in _OPENMMLAB if (version := _version(package))}
    if not {"mmdet", "mmpose"} & here.keys():  # nobody who needs neither is to miss them
        yield Finding(section, "mmdet, mmpose", f"not installed; if wanted: {INSTALL_ALL}")
        return
    for package, version in here.items():
        yield Finding(section, package, version)
    try:
        prepare()
        extension = importlib.import_module("mmcv._ext").__spec__
        stand_in = extension is not None and extension.origin == "vid3d stand-in"
        yield Finding(section, "mmcv operators", "stand-in (NMS only)" if stand_in else "compiled")
    except Vid3dError as error:
        problem, _, command = str(error).partition("; run: ")
        yield Finding(section, "imports", problem, command or INSTALL)


def _devices() -> Iterator[Finding]:
    import onnxruntime
    import torch

    section = "Devices"
    yield Finding(
        section, "cpu", f"{platform.processor() or platform.machine()}, {usable_cores()} cores"
    )
    providers = onnxruntime.get_available_providers()
    yield Finding(section, "onnxruntime", ", ".join(p.removesuffix("ExecutionProvider")
                                                    for p in providers))  # fmt: skip
    for index in range(torch.cuda.device_count()):
        memory = torch.cuda.get_device_properties(index).total_memory / 2**30
        name = torch.cuda.get_device_name(index)
        yield Finding(section, f"cuda:{index}", f"{name}, {memory:.0f} GiB")
    if not torch.cuda.is_available():
        driver = Path("/proc/driver/nvidia/version").is_file()
        mend = "install a CUDA build of torch, see docs/install.md" if driver else None
        value = "an NVIDIA driver is here, but torch does not see it" if driver else "none"
        yield Finding(section, "cuda", value, mend)


def _codecs() -> Iterator[Finding]:
    import av

    section = "Codecs"
    mend = "pip install --force-reinstall --no-deps av"
    for codec in ("h264", "hevc", "vp9", "av1"):
        known = codec in av.codecs_available
        yield Finding(
            section, f"{codec} decoding", "yes" if known else "no", None if known else mend
        )
    try:
        frames = _encode_and_decode()
        works = frames == 3
        value = "works" if works else f"{frames} of 3 frames came back"
        yield Finding(section, "h264 encoding", value, None if works else mend)
    except (av.FFmpegError, ValueError, OSError) as error:
        yield Finding(section, "h264 encoding", str(error), mend)


def _encode_and_decode() -> int:
    """Write three H.264 frames to memory and count those that can be read back."""
    import av
    import numpy as np

    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for shade in (0, 120, 240):
            image = np.full((48, 64, 3), shade, np.uint8)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        out.mux(stream.encode())
    buffer.seek(0)
    with av.open(buffer, "r") as container:
        return len(list(container.decode(video=0)))


def _weights() -> Iterator[Finding]:
    from vid3d.pose2d.zoo import cache_dir, list_models, verify
    from vid3d.weights import shipped_models, weights_dir

    section = "Weights"
    if not shipped_models():
        yield Finding(section, str(weights_dir()), "empty", "pip install --force-reinstall vid3d")
    for model in list_models():
        if model.state == "not here":
            continue
        problem = verify(model.name)
        mend = None
        if problem and model.state == "ships":
            mend = f"git checkout -- weights/{model.name}, or reinstall vid3d"
        elif problem:
            mend = f"rm -r '{cache_dir() / model.name}' && vid3d models fetch {model.name}"
        yield Finding(section, model.name, problem or f"{model.state}, checksums right", mend)
