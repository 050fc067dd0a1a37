"""Text in files is UTF-8 everywhere: where no encoding is named, Windows takes its region's."""

import ast
import re


def opens_text(call):
    """Whether a call opens a file as text and names no encoding."""
    if any(one.arg == "encoding" for one in call.keywords):
        return False
    match call.func:
        case ast.Attribute(attr="read_text"):
            return len(call.args) < 1
        case ast.Attribute(attr="write_text"):
            return len(call.args) < 2
        case ast.Attribute(attr="open"):  # of a path, whose mode comes first
            return any(re.fullmatch(r"[rwax][t+]*", word) for word in words(call.args[:1]))
        case ast.Name(id="open"):
            given = [one.value for one in call.keywords if one.arg == "mode"]
            return not any("b" in word for word in words(call.args[1:2] + given))
    return False


def words(nodes):
    """The text that stands in expressions."""
    for node in nodes:
        for one in ast.walk(node):
            if isinstance(one, ast.Constant) and isinstance(one.value, str):
                yield one.value


def test_text_is_read_and_written_as_utf8(repo):
    found, files = [], 0
    for folder in ("vid3d", "benchmarks", "samples"):
        for path in sorted((repo / folder).rglob("*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
            found += [f"{path.relative_to(repo)}:{one.lineno}" for one in calls if opens_text(one)]
            files += 1
    assert files > 250
    assert found == []
