"""The package's structure: one direction, also where imports are put off until they are needed."""

import ast
from graphlib import TopologicalSorter


def imported(path, known):
    """The package's modules that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in known else node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def test_no_module_leads_back_to_itself(repo):
    files = {}
    for path in (repo / "vid3d").rglob("*.py"):
        parts = path.relative_to(repo).with_suffix("").parts
        files[".".join(parts).removesuffix(".__init__")] = path
    files.pop("vid3d")  # its public names, each imported when it is first used
    graph = {name: set(imported(path, files)) & files.keys() for name, path in files.items()}
    assert len(graph) > 200
    order = list(TopologicalSorter(graph).static_order())  # CycleError names a circle
    assert order.index("vid3d.errors") < order.index("vid3d.pipeline")
