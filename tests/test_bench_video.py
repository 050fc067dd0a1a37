"""End-to-end bench: what it compares with, its arithmetic, and one run at toy size."""

import av
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from video_toys import make

from vid3d.bench.per_frame import CONTEXT, PerFrame, TemporalConvolution, lift
from vid3d.bench.report import to_json, video_table
from vid3d.bench.video import Lifted, VideoCost, _decode
from vid3d.cli import cli


def test_the_rival_lifter_is_as_large_as_published():
    network = TemporalConvolution()
    parameters = sum(value.numel() for value in network.parameters())
    assert 16.9e6 < parameters < 17e6
    assert CONTEXT == 243


def test_the_rival_lifter_sees_121_frames_either_way(monkeypatch):
    monkeypatch.setattr("vid3d.bench.per_frame.CHANNELS", 4)
    torch.manual_seed(0)
    network = TemporalConvolution()
    joints = np.random.default_rng(0).normal(size=(300, 17, 2))
    before = lift(network, joints)
    assert before.shape == (300, 17, 3)
    joints[0] += 9
    changed = np.abs(lift(network, joints) - before).max((1, 2)) > 1e-7
    assert changed[121]
    assert not changed[122:].any()


def test_chunks_of_the_rival_lifter_join(monkeypatch):
    monkeypatch.setattr("vid3d.bench.per_frame.CHANNELS", 4)
    network = TemporalConvolution()
    joints = np.random.default_rng(0).normal(size=(300, 17, 2))
    whole = lift(network, joints)
    monkeypatch.setattr("vid3d.bench.per_frame.CHUNK", 70)
    np.testing.assert_allclose(lift(network, joints), whole, atol=1e-5)


def test_amdahls_bound_by_hand():
    # of 10 s, 8 are spent looking; with a tenth of the looks 2 + 0.8 s remain
    assert PerFrame(1.5, 8, 0.5, 100, 18).bound(10) == pytest.approx(10 / 2.8)
    assert PerFrame(1.5, 8, 0.5, 100, 18).bound(100) == 1
    # frames cannot all be had before they are decoded
    assert PerFrame(1.5, 8, 0.5, 100, 18).bound(10, decoding=4.0) == 2.5


def test_table_says_ratios_and_bars():
    runs = [
        Lifted(10, False, 10, 2.0, 3.0, {"tracking": 0.5}),
        Lifted(10, True, 10, 6.0, 9.0, {}),
    ]
    cost = VideoCost(
        "a.mp4",
        (1920, 1080),
        100,
        50,
        "h264",
        16e6,
        True,
        (1.0, 1.5),
        PerFrame(1.5, 8, 0.5, 100, 18),
        runs,
    )
    table = video_table(cost)
    assert "with B-frames, 16.0 Mbit/s" in table
    assert "2.00 x bare decoding, 2.00 x its CPU (bar 2)" in table
    assert (
        "faster than 2D on every frame, 6.00 x by CPU (bar 5), 1.40 of Amdahl's bound 3.57" in table
    )
    assert "6.00 x bare decoding, 6.00 x its CPU (bar 4)" in table
    assert to_json(cost)["runs"][0]["stages"] == {"tracking": 0.5}


def test_one_run_at_toy_size(repo, monkeypatch):
    from vid3d.bench import video

    monkeypatch.setattr(video, "ROUNDS", 1)
    monkeypatch.setattr("vid3d.bench.per_frame.CHANNELS", 8)
    cost = video.bench_video(repo / "tests/data/tiny.mp4")
    assert [(run.stride, run.drawn) for run in cost.runs] == [(10, False), (20, False), (10, True)]
    assert cost.per_frame.frames == cost.frames
    assert all(run.seconds >= sum(run.stages.values()) > 0 for run in cost.runs)
    assert "drawing" in cost.runs[2].stages


def test_the_clip_that_is_made(tmp_path):
    from vid3d.bench.clip import make_clip
    from vid3d.video import VideoReader

    path = make_clip(tmp_path / "a.mp4", 145, 0.5)  # H.264 takes even numbers
    with VideoReader(path) as reader:
        assert reader.info.size == (256, 144)
        assert reader.info.fps == 50
        assert reader._stream.codec_context.has_b_frames
        assert len(list(reader)) == 25


def test_damaged_pictures_do_not_end_bare_decoding(tmp_path):
    path = make(tmp_path / "a.mp4", frames=30)
    _decode(path)
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        packet = list(container.demux(video=0))[20]
    data[packet.pos : packet.pos + packet.size] = b"\xff" * packet.size
    path.write_bytes(data)
    assert all(value >= 0 for value in _decode(path))


def test_what_is_no_video_is_refused_before_anything_is_measured(tmp_path, monkeypatch):
    def measure(*given):
        raise AssertionError

    monkeypatch.setattr("vid3d.bench.pose2d.bench_pose2d", measure)
    path = tmp_path / "a.mp4"
    path.write_text("no video", encoding="utf-8")
    result = CliRunner().invoke(cli, ["bench", "--video", str(path)])
    assert result.exit_code == 1
    assert "as a video" in result.output
