import csv
import xml.etree.ElementTree as ElementTree

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from motion_toys import make_motion, standing, walk

from vid3d.cli import cli
from vid3d.errors import Vid3dError
from vid3d.kinematics import ANGLES, motion_angles, save_angles
from vid3d.render.paper import LINES
from vid3d.render.plots import (
    Chart,
    _limits,
    _parted,
    angle_charts,
    plot_motion,
    time_figure,
    velocity_charts,
)
from vid3d.render.poses import poses_figure

PARTS = ("angles", "velocities", "poses")


@pytest.fixture(scope="module")
def motion():
    moving = walk(16)
    joints = moving.joints3d.copy()
    joints[1, 8:] = np.nan
    return make_motion(joints)


@pytest.fixture(scope="module")
def folder(motion, tmp_path_factory):
    folder = tmp_path_factory.mktemp("plots")
    written = plot_motion(motion, folder / "new", "clip", people=[1])
    assert sorted(path.name for path in written) == sorted(
        ["clip.angles.csv"]
        + [f"clip.{part}.{form}" for form in ("png", "svg")
           for part in ("contacts", *(f"1.{part}" for part in PARTS))]
    )  # fmt: skip
    return folder / "new"


def test_pngs_are_as_wide_as_a_page_and_not_empty(folder):
    for path in folder.glob("*.png"):
        image = cv2.imread(str(path))
        assert image.shape[1] == pytest.approx(180 / 25.4 * 300, abs=2)
        assert (image[0, 0] == 255).all()
        assert 0.002 < (image < 128).any(-1).mean() < 0.5


def test_svgs_hold_words_units_and_both_sides(folder):
    words = {}
    for path in folder.glob("*.svg"):
        tree = ElementTree.parse(path)
        words[path.name] = " ".join("".join(e.itertext()) for e in tree.iter() if "text" in e.tag)
    for word in ("Knee flexion", "Trunk twist", "(°)", "Time (s)", "left", "right", "Person 1"):
        assert word in words["clip.1.angles.svg"]
    assert "(m/s)" in words["clip.1.velocities.svg"]
    assert "1 left" in words["clip.contacts.svg"]
    assert "0.00 s" in words["clip.1.poses.svg"]
    angles = (folder / "clip.1.angles.svg").read_text()
    assert LINES["left"][0].lower() in angles
    assert LINES["right"][0].lower() in angles


def test_charts_hold_the_angles_and_gaps(motion):
    found = motion_angles(motion)
    charts = angle_charts(found.degrees[1], found.spread[1])
    knee = next(chart for chart in charts if chart.title == "Knee flexion")
    (key, values, half), _ = knee.series
    column = list(ANGLES).index("left_knee_flexion")
    assert key == "left"
    np.testing.assert_array_equal(values, found.degrees[1, :, column])
    np.testing.assert_array_equal(half, found.spread[1, :, column])
    assert np.isnan(values[8:]).all()
    speed = velocity_charts(motion, 0, found.degrees[0])[0]
    assert speed.unit == "(m/s)"
    np.testing.assert_allclose(speed.series[0][1], 2 / (15 / 25), rtol=1e-4)  # 2 m in 15 frames


def test_lines_do_not_cross_the_circle():
    np.testing.assert_array_equal(
        _parted(np.array([170.0, 179, -175, -160])), [170, 179, np.nan, -160]
    )


def test_limits_show_everything_and_are_not_too_narrow():
    low, high = _limits(np.array([10.0, 12, np.nan]), 40)
    assert low <= 0
    assert high - low >= 40
    low, high = _limits(np.array([100.0, 300.0]), 40)
    assert low < 100 < 300 < high
    assert _limits(np.array([np.nan]), 40) == (-20, 20)


def test_csv_holds_the_angles(motion, tmp_path):
    with open(save_angles(motion, tmp_path / "a.csv"), newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 16 + 8
    assert list(rows[0])[:5] == ["person", "frame", "time_s", "left_knee_flexion_deg",
                                 "left_knee_flexion_sd_deg"]  # fmt: skip
    assert len(rows[0]) == 3 + 2 * len(ANGLES)
    last = rows[-1]
    assert (last["person"], last["frame"], float(last["time_s"])) == ("2", "7", 0.28)
    found = motion_angles(motion)
    for index, name in enumerate(ANGLES):
        for suffix, array in (("deg", found.degrees), ("sd_deg", found.spread)):
            text, value = last[f"{name}_{suffix}"], array[1, 7, index]
            assert (text == "") == np.isnan(value)
            assert text == "" or float(text) == pytest.approx(value, abs=0.006)


def test_frames_without_neighbours_are_seen(motion):
    """A line through one point is nothing: it gets a dot. Frames with neighbours get none."""
    values = np.array([np.nan, 5, np.nan, 20, 30, 40, np.nan, 7])
    unknown = np.full(8, np.nan)
    charts = [Chart("Knee flexion", "(°)", [("left", values, unknown)])] * 2
    figure = time_figure(make_motion(motion.joints3d[:, :8]), charts, "Person 1")
    dots = next(line for line in figure.axes[0].lines if line.get_marker() == ".")
    np.testing.assert_allclose(dots.get_xydata(), [[1 / 25, 5], [7 / 25, 7]])
    assert "bands" not in figure.get_suptitle()


def test_one_frame_and_unknown_spread(tmp_path):
    short = make_motion(standing(np.array([[[0.0, 4.0]]])), spread=np.full((1, 1, 17), np.nan))
    assert len(plot_motion(short, tmp_path, formats=["svg"])) == 5


def test_what_cannot_be_plotted(motion, tmp_path):
    with pytest.raises(Vid3dError, match="nobody has the number 9; the motion has"):
        plot_motion(motion, tmp_path, people=[9])
    with pytest.raises(Vid3dError, match="give png or svg"):
        plot_motion(motion, tmp_path, formats=["gif"])
    with pytest.raises(Vid3dError, match="nobody to plot"):
        plot_motion(make_motion(np.full((0, 3, 17, 3), np.nan)), tmp_path)
    with pytest.raises(Vid3dError, match="cannot write"):
        file = tmp_path / "file"
        file.write_text("")
        plot_motion(motion, file)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_command_writes_the_same_bytes(motion, folder, tmp_path):
    path = motion.save(tmp_path / "clip.vid3d.npz")
    arguments = ["plot", path, "-o", tmp_path / "out", "--person", 1, "--format", "svg"]
    result = CliRunner().invoke(cli, [*map(str, arguments)])
    assert result.exit_code == 0, result.output
    written = {path.name: path for path in (tmp_path / "out").iterdir()}
    assert set(written) == {
        "clip.angles.csv", "clip.contacts.svg", *(f"clip.1.{part}.svg" for part in PARTS)
    }  # fmt: skip
    assert "clip.1.poses.svg" in result.output
    for name, path in written.items():
        assert path.read_bytes() == (folder / name).read_bytes()


@pytest.mark.parametrize(
    ("given", "words"),
    [(["--person", "1,99"], "number 99"), (["--format", "png,gif"], "'gif' is not one of")],
)
def test_the_command_takes_lists_with_commas(motion, tmp_path, given, words):
    path = motion.save(tmp_path / "clip.vid3d.npz")
    result = CliRunner().invoke(cli, ["plot", str(path), "-o", str(tmp_path / "out"), *given])
    assert words in result.output


def test_poses_are_those_nearest_to_even_times():
    """Whole seconds up to 11, of which frames lie near 0, 1 and 11 only: each is shown once."""
    times = np.array([*np.arange(11) / 10, 11.0])
    motion = make_motion(standing(np.full((1, 12, 2), (0.0, 4.0))), timestamps=times, meta={})
    titles = [axes.get_title(loc="center") for axes in poses_figure(motion, 0).axes]
    assert [title for title in titles if title] == ["0.00 s", "1.00 s", "11.00 s"]
