"""Every vid3d command of the README runs, on the small clip in place of the user's own."""

import re
import shlex
import shutil

import pytest
from click.testing import CliRunner

from vid3d.cli import cli


def readme_commands(repo):
    blocks = re.findall(r"```(?:sh)?\n(.*?)```", (repo / "README.md").read_text(), re.S)
    lines = [line.split("#")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line.startswith("vid3d ")]


def test_readme_commands_run_in_their_order(repo, tmp_path, monkeypatch):
    commands = readme_commands(repo)
    assert len(commands) >= 5
    shutil.copy(repo / "tests/data/tiny.mp4", tmp_path / "my-video.mp4")
    shutil.copytree(repo / "samples", tmp_path / "samples", ignore=shutil.ignore_patterns("*.mp4"))
    shutil.copy(repo / "tests/data/tiny.mp4", tmp_path / "samples/two_people.mp4")
    shutil.copy(repo / "tests/data/tiny.pairs.npz", tmp_path / "samples/two_people.pairs.npz")
    monkeypatch.chdir(tmp_path)
    for command in commands:
        result = CliRunner().invoke(cli, shlex.split(command)[1:])
        if "fetch" in command:
            continue  # needs the internet: that it ends in a clear line is tested elsewhere
        assert result.exit_code == 0, f"{command}\n{result.output}"


def test_readme_starts_with_the_two_commands(repo):
    text = (repo / "README.md").read_text()
    blocks = re.findall(r"```(?:sh)?\n(.*?)```", text, re.S)
    assert [line.split("#")[0].strip() for line in blocks[0].strip().splitlines()] == [
        "make demo",
        "make test",
    ]


@pytest.mark.parametrize("target", ["demo", "test"])
def test_makefile_has_the_targets(repo, target):
    assert re.search(rf"^{target}:", (repo / "Makefile").read_text(), re.M)
