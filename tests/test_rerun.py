import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
from motion_toys import FPS, glimpses, make_video, walk

from vid3d.errors import Vid3dError
from vid3d.export.rerun import write_rrd
from vid3d.kinematics import joint_angles
from vid3d.monitor import Monitor
from vid3d.results import Wanted, write_results


def contents(path):
    """What rerun's own reader finds in a recording."""
    command = [sys.executable, "-m", "rerun", "rrd", "print", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def rerun():
    return pytest.importorskip("rerun", reason="rerun-sdk is not installed")


def test_recording_is_read_by_rerun(rerun, tmp_path):
    motion = walk(20)
    present = motion.present.copy()
    present[1, 8:12] = False
    joints = np.where(present[..., None, None], motion.joints3d, np.nan)
    motion = replace(motion, joints3d=joints, present=present, timestamps=np.arange(20) / FPS + 2)
    video = make_video(tmp_path / "clip.mp4", walk(100))
    path = write_rrd(motion, tmp_path / "clip.rrd", video)
    words = contents(path)
    rows = {
        "/world/people/1/joints": 20,
        "/world/people/2/spread": 16,
        "/world/people/2": 1,  # cleared once
        "/world/camera/video": 20,
        "/world/floor": 1,
        "/speed/1": 20,
        "/angles/left_knee_flexion/2": 16,
    }
    for entity, count in rows.items():
        assert re.search(rf"with {count} rows .* - {entity} - ", words), entity


def test_angles_are_computed_only_where_people_are_in_sight(rerun, monkeypatch, tmp_path):
    counted = []

    def counting(bodies, up):
        counted.append(len(bodies))
        return joint_angles(bodies, up)

    monkeypatch.setattr("vid3d.export.rerun.joint_angles", counting)
    write_rrd(glimpses(), tmp_path / "a.rrd")
    assert counted == [5, 5, 5]


def test_a_video_that_rerun_cannot_read_is_an_error_and_leaves_nothing(rerun, tmp_path):
    other = tmp_path / "clip.avi"
    other.write_bytes(b"no video at all")
    with pytest.raises(Vid3dError, match=r"clip\.avi"):
        write_rrd(walk(), tmp_path / "clip.rrd", other)
    assert [path.name for path in Path(tmp_path).iterdir()] == ["clip.avi"]


def remuxed(path, source):
    """The pictures of a video in another container, unchanged."""
    with av.open(str(source)) as old, av.open(str(path), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                new.mux(packet)
    return path


def test_videos_of_phones_are_recorded(rerun, tmp_path):
    motion = walk(6)
    video = remuxed(tmp_path / "clip.mov", make_video(tmp_path / "clip.mp4", motion))
    words = contents(write_rrd(motion, tmp_path / "clip.rrd", video))
    assert re.search(r"with 6 rows .* - /world/camera/video - ", words)


def test_a_lift_leaves_a_recording_without_a_video_that_rerun_cannot_read(rerun, tmp_path):
    motion, monitor = walk(6), Monitor()
    video = remuxed(tmp_path / "clip.mkv", make_video(tmp_path / "clip.mp4", motion))
    clip = SimpleNamespace(name="clip")
    folder = tmp_path / "out"
    written = write_results(motion, clip, folder, video, Wanted(rrd=True), monitor)
    assert {path.name for path in written} == {
        "clip.vid3d.npz", "clip.vid3d.json", "clip.overlay.mp4", "clip.rrd",
    }  # fmt: skip
    words = contents(folder / "clip.rrd")
    assert "/world/people/1/joints" in words
    assert "/world/camera/video" not in words
    (warning,) = monitor.warnings
    assert re.search(r"cannot read .*clip\.mkv .*without the video", warning)
    assert "\n" not in warning


def test_without_the_package_one_line_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "rerun", None)
    with pytest.raises(Vid3dError, match=r"vid3d\[rerun\]"):
        write_rrd(walk(), tmp_path / "clip.rrd")
    assert list(tmp_path.iterdir()) == []
