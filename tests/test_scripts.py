"""Scripts beside the command line answer `--help` and wrong arguments like any other."""

import ast


def imported(tree):
    """Names of the packages that a module imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def test_scripts_parse_their_arguments(repo):
    scripts, without = [], []
    for folder in ("vid3d", "benchmarks", "samples"):
        for path in sorted((repo / folder).rglob("*.py")):
            text = path.read_text(encoding="utf-8")
            if '\nif __name__ == "__main__":' in text:
                scripts.append(path)
                if not {"argparse", "click"} & set(imported(ast.parse(text))):
                    without.append(str(path.relative_to(repo)))
    assert len(scripts) > 30
    assert without == []
