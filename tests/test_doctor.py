import json
import re
import tomllib

import pytest

from vid3d import doctor
from vid3d.doctor import Finding, Report, diagnose


def test_report_names_each_problem_and_its_command():
    report = Report((
        Finding("Versions", "torch", "2.13"),
        Finding("Weights", "a", "damaged", "git checkout -- weights/a"),
    ))  # fmt: skip
    assert [problem.label for problem in report.problems] == ["a"]
    lines = report.text().splitlines()
    assert lines[0] == "Versions"
    assert lines[1].split() == ["torch", "2.13"]
    assert lines[4].startswith("! a")
    assert lines[5].strip() == "mend: git checkout -- weights/a"
    assert lines[-1] == "1 problem"
    assert Report(report.findings[:1]).text().endswith("Everything works.")


def test_this_installation():
    report = diagnose()
    found = {finding.label: finding for finding in report.findings}
    for label in ("vid3d", "python", "torch", "av", "onnxruntime", "h264 encoding", "cpu"):
        assert found[label].mend is None, found[label]
    assert found["h264 encoding"].value == "works"
    assert all(problem.mend for problem in report.problems)


def test_damaged_weights_are_found(tmp_path, monkeypatch):
    folder = tmp_path / "net"
    folder.mkdir()
    files = {"onnx": {"path": "model.onnx", "sha256": "0" * 64}}
    (folder / "manifest.json").write_text(json.dumps({"task": "pose", "files": files}))
    (folder / "model.onnx").write_bytes(b"")
    monkeypatch.setattr("vid3d.weights.weights_dir", lambda: tmp_path)
    monkeypatch.setattr("vid3d.pose2d.zoo.weights_dir", lambda: tmp_path)
    (problem,) = doctor._weights()
    assert "damaged" in problem.value
    assert "weights/net" in problem.mend
    (folder / "model.onnx").unlink()
    (problem,) = doctor._weights()
    assert "is missing" in problem.value
    (folder / "manifest.json").unlink()
    (problem,) = doctor._weights()
    assert problem.value == "empty"


def test_missing_packages_are_named(monkeypatch):
    def missing(name):
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(doctor.importlib, "import_module", missing)
    problems = [finding for finding in doctor._versions() if finding.mend]
    assert 'pip install "onnxruntime"' in [problem.mend for problem in problems]


def test_all_that_is_required_is_looked_at(repo):
    project = tomllib.loads((repo / "pyproject.toml").read_text("utf-8"))["project"]
    required = {re.split("[<>=]", line)[0] for line in project["dependencies"]}
    assert set(doctor._NEEDED) == required


@pytest.mark.parametrize("package", ["numpy", "torch", "av", "platformdirs"])
def test_where_a_package_is_missing_nothing_that_needs_it_is_imported(package, monkeypatch):
    def load(name):
        if name == package:
            raise ImportError(f"No module named {name!r}")

    def needs_it():
        raise AssertionError

    monkeypatch.setattr(doctor.importlib, "import_module", load)
    for part in ("_openmmlab", "_devices", "_codecs", "_weights"):
        monkeypatch.setattr(doctor, part, needs_it)
    (problem,) = diagnose().problems
    assert problem.mend == f'pip install "{package}"'


def test_missing_openmmlab_names_the_line(monkeypatch):
    from vid3d.errors import Vid3dError
    from vid3d.pose2d import openmmlab

    def absent():
        raise Vid3dError(f"the mmpose backend needs mmpose; run: {openmmlab.INSTALL}")

    monkeypatch.setattr(openmmlab, "prepare", absent)
    problem = list(doctor._openmmlab())[-1]
    assert problem.mend == openmmlab.INSTALL
    assert problem.value == "the mmpose backend needs mmpose"


def test_openmmlab_is_no_problem_where_nobody_asked_for_it(monkeypatch):
    monkeypatch.setattr(doctor, "_version", lambda package: None)
    (found,) = doctor._openmmlab()
    assert found.mend is None
    assert "not installed" in found.value


def test_openmmlab_is_installed_as_the_tests_have_it(repo):
    from vid3d.pose2d.openmmlab import PINS

    lines = (repo / "requirements/openmmlab.txt").read_text("utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert list(PINS) == [pin for pin in pins if ";" not in pin]


@pytest.mark.parametrize(("frames", "works"), [(3, True), (2, False)])
def test_codec_that_loses_frames(monkeypatch, frames, works):
    monkeypatch.setattr(doctor, "_encode_and_decode", lambda: frames)
    encoding = next(f for f in doctor._codecs() if f.label == "h264 encoding")
    assert (encoding.mend is None) == works
