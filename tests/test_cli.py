"""The command line: what it prints and exits with, on good input and on every kind of bad one."""

import json
import os
import subprocess
import sys
import wave
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import av
import click
import numpy as np
import pytest
from click.testing import CliRunner
from motion_toys import make_video, walk

from vid3d.cli import COMMANDS, cli
from vid3d.cli.console import Console
from vid3d.errors import Vid3dError
from vid3d.files import missing
from vid3d.monitor import Monitor
from vid3d.results import PARTIAL, Wanted, keep_earlier, write_results


def run(*arguments):
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def assert_one_line(result, status, *words):
    assert result.exit_code == status, result.output
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("vid3d: error: ")
    for word in words:
        assert word in lines[0]


@pytest.fixture(scope="module")
def blank(tmp_path_factory):
    """A one-frame video without people."""
    path = tmp_path_factory.mktemp("blank") / "blank.mp4"
    write_video(path, [np.full((120, 160, 3), 128, np.uint8)])
    return path


def write_video(path, images, rate=25):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "bgr24")))
        container.mux(stream.encode())


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_and_imports_nothing_heavy_for_it(name):
    result = run(name, "--help")
    assert result.exit_code == 0
    assert "Usage" in result.output


def test_every_command_shows_tracebacks_when_asked():
    """The line about an unexpected error says so."""
    commands, found = [cli], []
    while commands:
        command = commands.pop()
        if isinstance(command, click.Group):
            names = command.list_commands(click.Context(command))
            commands += [command.get_command(click.Context(command), name) for name in names]
        else:
            found.append(command)
    assert len(found) > len(COMMANDS)
    without = [one for one in found if "--debug" not in sum((p.opts for p in one.params), [])]
    assert without == []


def test_help_is_quick_because_torch_stays_out():
    script = "import sys, vid3d.cli; from click.testing import CliRunner as R;" \
        "assert R().invoke(vid3d.cli.cli, ['lift', '--help']).exit_code == 0;" \
        "assert not {'torch', 'av', 'cv2', 'onnxruntime'} & set(sys.modules)"  # fmt: skip
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["lift"], ["VIDEO", "--keypoints"]),
        (["lift", "a.mp4", "--stride", "0"], ["stride", "0"]),
        (["lift", "a.mp4", "--stride", "often"], ["stride", "often"]),
        (["lift", "a.mp4", "--fov", "55", "--intrinsics", "1,1,1,1"], ["exclude"]),
        (["lift", "a.mp4", "--intrinsics", "1,2,3"], ["FX,FY,CX,CY"]),
        (["lift", "a.mp4", "--height", "tall"], ["1.75"]),
        (["lift", "a/x.mp4", "b/x.mp4"], ["overwrite"]),
        (["lift", "a/x.mp4", "b/X.mp4"], ["overwrite"]),
        (["lift", "a.mp4", "--start", "3", "--end", "2"], ["later"]),
        (["detect", "a.mp4", "-o", "a.json", "--start", "3", "--end", "2"], ["later"]),
        (["adapt", "a.mp4", "-o", "a.safetensors", "--start", "3", "--end", "2"], ["later"]),
        (["adapt", "a.mp4", "-o", "a.safetensors", "--fov", "9", "--camera", "c"], ["exclude"]),
        (["lift", "a.mp4", "--backend", "tensorflow"], ["tensorflow"]),
        (
            ["eval", "a.npz", "--data", "b", "--protocol", "3dhp", "--by", "joint"],
            ["a.npz is a result", "--protocol, --by"],
        ),
        (["view", "a.npz", "--no-video", "--link"], ["--no-video", "--link"]),
        (["fly"], ["fly"]),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(arguments, words):
    assert_one_line(run(*arguments), 2, *words, "--help")


def no_file(folder):
    return folder / "none.mp4"


def a_folder(folder):
    return folder


def empty(folder):
    path = folder / "empty.mp4"
    path.write_bytes(b"")
    return path


def text(folder):
    path = folder / "text.mp4"
    path.write_text("I am no video.\n" * 100)
    return path


def audio(folder):
    path = folder / "audio.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(b"\0" * 16000)
    return path


@pytest.mark.parametrize("make", [no_file, a_folder, empty, text, audio])
def test_bad_video_is_one_line_and_leaves_nothing(make, tmp_path):
    path = make(tmp_path)
    result = run("lift", path, "-o", tmp_path / "out")
    assert_one_line(result, 1, path.name)
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("command", [["lift"], ["batch"], ["adapt"], ["detect"]])
def test_addresses_are_not_read(tmp_path, command):
    address = "https://example.org/a%20walk.mp4?x=1"
    output = tmp_path / ("out.safetensors" if command == ["adapt"] else "out")
    result = run(*command, address, "-o", output)
    assert_one_line(result, 1, f"{address} is an address", "download the file")


@pytest.mark.parametrize(
    "name", ["C:/clips/a.mp4", "C:\\clips\\a.mp4", "a:b.mp4", "clips/https:/a"]
)
def test_names_with_a_colon_are_no_addresses(name):
    assert missing(Path(name)).startswith("no such file: ")


def test_unwritable_output(blank, tmp_path):
    (tmp_path / "file").write_text("")
    assert_one_line(run("lift", blank, "-o", tmp_path / "file"), 1, "file", "-o")
    assert_one_line(run("lift", blank, "-o", tmp_path / "file" / "deep"), 1, "file", "-o")


@pytest.mark.parametrize("option", ["--model", "--pose", "--detector"])
def test_unknown_model(option, blank, tmp_path):
    result = run("lift", blank, "-o", tmp_path / "out", option, "nonsense-7")
    assert_one_line(result, 1, "nonsense-7")
    assert list((tmp_path / "out").iterdir()) == []


def test_keypoints_of_the_wrong_shape(tmp_path):
    path = tmp_path / "bad.pairs.npz"
    np.savez(path, **{"00000/keypoints2d": np.zeros((5, 16, 2), np.float32),
                      "00000/frame_size": [640, 480], "00000/fps": 25.0,
                      "00000/intrinsics": np.diag([500.0, 500, 1])})  # fmt: skip
    result = run("lift", "--keypoints", path, "-o", tmp_path / "out")
    assert_one_line(result, 1, "bad.pairs.npz", "16")


def test_keypoints_are_not_written_under_a_name_of_pair_files(blank, tmp_path):
    result = run("detect", blank, "-o", tmp_path / "seen.pairs.npz")
    assert_one_line(result, 1, "seen.pairs.npz would be JSON", "end in .json")
    assert list(tmp_path.iterdir()) == []


def test_options_of_networks_are_of_no_use_to_keypoints(blank, tmp_path):
    seen = tmp_path / "seen.json"
    seen.write_text('{"images": [{"id": 0, "frame": 0}], "annotations": []}', encoding="utf-8")
    lift = ["lift", blank, "--keypoints", seen, "-o", tmp_path / "o", "--no-render"]
    assert run(*lift, "--device", "cpu").stderr == ""
    result = run(*lift, "--flip-test", "--pose", "vid3d-pose")
    assert result.exit_code == 0, result.stderr
    assert "of no use here are --pose, --flip-test" in result.stderr


def test_one_frame_without_people_succeeds_and_says_so(blank, tmp_path):
    result = run("lift", blank, "-o", tmp_path)
    assert result.exit_code == 0, result.output
    assert "no people found, 1 frame, 1 keyframe looked at" in result.output
    names = {"blank.vid3d.npz", "blank.vid3d.json", "blank.overlay.mp4"}
    assert {path.name for path in tmp_path.iterdir()} == names


def test_quiet_prints_nothing(blank, tmp_path, repo):
    assert run("lift", blank, "-o", tmp_path, "-q", "--no-render").output == ""
    assert run("data", "info", repo / "samples/two_people.pairs.npz", "-q").output == ""


@pytest.mark.parametrize("command", [["lift"], ["adapt", "-o", "a.safetensors"],
                                     ["data", "build", "-o", "a.npz"]])  # fmt: skip
def test_globs_of_several_files(tmp_path, command, monkeypatch):
    """Windows hands them on as they are."""
    for name in ("b.mp4", "a.mp4", "[a].mp4", "c.mov", "d/e.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    group = cli if command[0] != "data" else cli.get_command(None, "data")
    name, *options = command[1:] if command[0] == "data" else command
    leaf = group.get_command(None, name)

    def files(*given):
        parsed = leaf.make_context(name, [*given, *options]).params
        (several,) = (parsed[p.name] for p in leaf.params if isinstance(p, click.Argument))
        return [path.as_posix() for path in several]

    assert files("c.mov", "*.mp4") == ["c.mov", "[a].mp4", "a.mp4", "b.mp4"]
    assert files("[a].mp4") == ["[a].mp4"]
    assert files("**/e.*", "?.avi") == ["d/e.mp4", "?.avi"]


def test_one_bad_video_does_not_stop_the_others(blank, tmp_path):
    result = run("lift", tmp_path / "none.mp4", blank, "-o", tmp_path, "--no-render")
    assert_one_line(result, 1, "none.mp4")
    assert (tmp_path / "blank.vid3d.npz").exists()


def test_every_video_has_its_own_warnings(blank, tmp_path, monkeypatch):
    """Though they say the same, and whether the one before it was lifted or not."""
    from vid3d.pipeline import Pipeline

    observe = Pipeline.observe

    def warned(self, video):
        self.monitor.warn("it looks odd")
        self.monitor.warn("it looks odd")
        return observe(self, video)

    monkeypatch.setattr(Pipeline, "observe", warned)
    copies = [tmp_path / f"{name}.mp4" for name in "ab"]
    for copy in copies:
        copy.write_bytes(blank.read_bytes())
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"x")
    result = run("lift", broken, *copies, "-o", tmp_path / "out", "--no-render")
    assert result.stderr.splitlines().count("vid3d: warning: it looks odd") == 3


def test_networks_do_not_report_home(tmp_path):
    code = "import vid3d.pose2d.onnx"
    home = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    subprocess.run(
        [sys.executable, "-c", code], check=True, env=home, cwd=Path(__file__).parents[1]
    )
    assert not list(tmp_path.rglob("*onnxruntime*"))


@pytest.mark.parametrize("arguments", [[], ["models"], ["data"]])
def test_nothing_asked_is_answered_with_help(arguments):
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stdout.startswith("Usage: ")
    assert "error" not in result.output


def test_numbers_of_other_scripts_are_no_strides():
    arguments = ["eval", "vid3d-base", "--data", "pairs.npz", "--strides", "²"]
    assert_one_line(run(*arguments), 2, "'²' is not a list of whole numbers")


def test_nothing_is_written_over_what_is_read(tmp_path, blank):
    video, motion = tmp_path / "a.mp4", tmp_path / "a.vid3d.npz"
    video.write_bytes(blank.read_bytes())
    walk().save(motion)
    before = video.read_bytes(), motion.read_bytes()
    for arguments in (
        ["detect", video, "-o", video],
        ["render", motion, "--video", video, "-o", video],
        ["render", motion, "-o", motion],
        ["view", motion, "--video", video, "-o", motion],
        ["export", motion, "--to", "csv,npz", "-o", tmp_path],
    ):
        assert_one_line(run(*arguments), 1, "is what is read", "-o")
    for arguments in (
        ["eval", motion, "--data", "pairs.npz", "--json", motion],
        ["eval", "vid3d-base", "--data", motion, "--json", motion],
        ["bench", "video", "--video", video, "--json", video],
    ):
        assert_one_line(run(*arguments), 1, "is what is read", "--json")
    assert_one_line(run("detect", video, "-o", tmp_path), 1, "is a folder")
    assert_one_line(run("view", motion, "-o", "-"), 1, "give the name of a file with -o")
    assert (video.read_bytes(), motion.read_bytes()) == before


def test_another_video_than_the_motions_own_is_told(tmp_path):
    motion = walk()
    source = {"name": "mine.mp4", "sha256": "0" * 64}
    path = replace(motion, meta={**motion.meta, "source": source}).save(tmp_path / "a.vid3d.npz")
    video = make_video(tmp_path / "other.mp4", motion)
    result = run("render", path, "--video", video, "-o", tmp_path / "b.mp4")
    assert result.exit_code == 0
    assert "is not the file that the motion was made from (mine.mp4)" in result.stderr


def test_results_of_keypoints_are_compared_with_no_video(tmp_path):
    motion = walk()
    meta = {"source": {"name": "seen.json", "sha256": "0" * 64},
            "options": {"keypoints": "seen.json"}}  # fmt: skip
    path = replace(motion, meta={**motion.meta, **meta}).save(tmp_path / "a.vid3d.npz")
    result = run("view", path, "--video", make_video(tmp_path / "clip.mp4", motion))
    assert (result.exit_code, result.stderr) == (0, "")


def test_warnings_hold_no_control_characters(capsys):
    Console().warn("a\x1b[31mred\x1b[2J.mp4 is not the file")
    assert capsys.readouterr().err == "vid3d: warning: a\\x1b[31mred\\x1b[2J.mp4 is not the file\n"


@pytest.mark.parametrize("person", ["bob", "Largest", "1.5", ""])
def test_people_are_named_before_anything_is_computed(blank, tmp_path, person):
    result = run("lift", blank, "-o", tmp_path / "o", "--person", person)
    assert_one_line(result, 1, "expected largest, longest or a track id")
    assert not (tmp_path / "o").exists()


def test_what_is_for_other_programs_is_not_read(tmp_path):
    (tmp_path / "a.vid3d.json").write_text("{}")
    (tmp_path / "seen.txt").write_text("1,1,0,0,9,9,1,-1,-1,-1")
    for command in ("info", "view", "render", "export", "plot"):
        rest = {"export": ["--to", "csv"]}.get(command, [])
        rest += [] if command == "info" else ["-o", tmp_path / "o.mp4"]
        result = run(command, tmp_path / "a.vid3d.json", *rest)
        assert_one_line(result, 1, "the .vid3d.npz beside it")
    assert_one_line(run("info", tmp_path / "seen.txt"), 1, "is text")


def test_info_knows_parts_of_models_and_folders_of_keypoints(repo, tmp_path):
    for file in ("model.onnx", "model.pth", "manifest.json"):
        result = run("info", repo / "weights/vid3d-pose" / file)
        assert "vid3d-pose" in result.output.splitlines()[0], result.output
    (tmp_path / "a.onnx").write_bytes(b"")
    assert_one_line(run("info", tmp_path / "a.onnx"), 1, "no manifest.json beside it")
    person = {"pose_keypoints_2d": [9.0, 9.0, 0.9] * 25}
    (tmp_path / "a_0_keypoints.json").write_text(json.dumps({"people": [person]}))
    assert "1 looks of 1 frames, coco17" in run("info", tmp_path).output


@pytest.mark.parametrize("meta", [{"model": None}, {"model": {}, "feet": {}, "smooth": {}}])
def test_info_of_a_motion_that_says_little(tmp_path, meta):
    """As other programs may write it: only the arrays are needed."""
    path = replace(walk(), meta=meta).save(tmp_path / "a.vid3d.npz")
    with np.load(path) as file:
        arrays = dict(file)
    stored = json.loads(str(arrays["meta"]))
    del stored["axes"], stored["units"]
    np.savez(path, **{**arrays, "meta": np.array(json.dumps(stored))})
    result = run("info", path)
    assert result.exit_code == 0, result.output
    shown = " ".join(result.output.split())
    for words in (
        "axes camera: x right, y down, z forward; metres, seconds, pixels",
        "feet as lifted, not locked",
        "smoothing none",
        "model unknown, 2D: unknown",
    ):
        assert words in shown


@pytest.mark.parametrize("command", ["list", "fetch", "verify"])
def test_commands_of_models_show_tracebacks_when_asked(command, monkeypatch):
    from vid3d.pose2d import zoo

    def fails(*_):
        raise RuntimeError("broken")

    for name in ("list_models", "fetch", "verify"):
        monkeypatch.setattr(zoo, name, fails)
    names = [] if command == "list" else ["rtmpose-t"]
    assert_one_line(run("models", command, *names), 1, "broken", "--debug")
    assert isinstance(run("models", command, *names, "--debug").exception, RuntimeError)


def test_defaults_in_the_help_are_those_of_what_ships():
    from vid3d.lifter import Lifter

    words = " ".join(run("lift", "--help").output.split())
    config = Lifter.load("vid3d-base").config
    for value in (config.hypotheses, config.steps, config.aggregate):
        assert f"own; vid3d-base: {value}]" in words


@pytest.mark.parametrize("partial", [False, True])
@pytest.mark.parametrize("earlier", ["none", "other", "whole", "partial", "damaged"])
def test_earlier_results(tmp_path, partial, earlier):
    """Whole ones stay where a lift was interrupted; of another video they are replaced, aloud."""
    path, motion = tmp_path / "a.vid3d.npz", walk()
    digests = {"whole": "x", "partial": "x", "other": "y"}
    if earlier in digests:
        meta = {**motion.meta, "source": {"name": "a.mp4", "sha256": digests[earlier]}}
        replace(motion, meta=meta | ({"partial": {}} if earlier == "partial" else {})).save(path)
    elif earlier == "damaged":
        path.write_bytes(b"PK")
    monitor = Monitor()
    kept = keep_earlier(tmp_path, SimpleNamespace(name="a", digest="x"), partial, monitor)
    assert kept == (partial and earlier in ("whole", "other"))
    replaced = earlier == "other" and not partial
    assert any("another video" in text for text in monitor.warnings) == replaced


def test_nothing_more_begins_after_a_wish_to_stop(tmp_path, blank, monkeypatch):
    def observe(self, video):
        self.monitor.stopping = True  # as Ctrl-C does while another clip is worked on
        yield None

    monkeypatch.setattr("vid3d.pipeline.Pipeline.observe", observe)
    assert_one_line(run("lift", blank, "-o", tmp_path), 130, "interrupted")


def test_files_of_an_earlier_result_are_named(tmp_path):
    """Those that this lift did not write again; not a video's own, nor another one's."""

    def warned(people, wanted):
        monitor, clip = Monitor(), SimpleNamespace(name="a")
        write_results(walk(people=people), clip, tmp_path, None, wanted, monitor)
        return monitor.warnings

    for name in ("a.overlay.mp4", "a.mp4", "a.b.csv", "ab.csv", "a.notes.csv", "a.jpg"):
        (tmp_path / name).write_bytes(b"")
    assert warned(2, Wanted(formats=["bvh", "csv"])) == []  # nothing was lifted before
    (text,) = warned(1, Wanted(formats=["bvh"]))
    assert text.endswith(": a.csv, a.overlay.mp4, a.person2.bvh")
    assert len(warned(1, PARTIAL)) == 1
    (tmp_path / "a.vid3d.npz").unlink()
    assert warned(1, PARTIAL) == []


def test_the_overlay_is_there_whatever_other_formats_cannot_hold(tmp_path, monkeypatch):
    def refuse(*arguments):
        raise Vid3dError("too many people")

    monkeypatch.setattr("vid3d.results.export", refuse)
    motion, clip = walk(3), SimpleNamespace(name="a")
    video = make_video(tmp_path / "a.mp4", motion)
    with pytest.raises(Vid3dError, match="too many people"):
        write_results(motion, clip, tmp_path, video, Wanted(formats=["c3d"]), Monitor())
    assert (tmp_path / "a.overlay.mp4").exists()
