"""Bytes that nobody thought of, in every reader of files."""

import json
import random

import numpy as np
import pytest
from faults.keypoints import document
from faults.motions import GROUP, _arrays
from fuzz import READERS, check, seeds, spoiled
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vid3d.errors import Vid3dError
from vid3d.motion import Motion

many = settings(
    max_examples=1500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
anything = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=12,
)


@pytest.mark.parametrize("target", READERS)
def test_good_inputs_of_fuzzing_are_good(target, tmp_path):
    accepted = [check(target, seed, tmp_path) for seed in seeds(target)]
    assert all(accepted) or target == "lifter"  # whose seed has no tensors


@pytest.mark.slow
@pytest.mark.parametrize("target", READERS)
@many
@given(chance=st.integers(0, 2**63))
def test_spoiled_inputs_are_read_or_refused(target, tmp_path, chance):
    draw = random.Random(chance)
    check(target, spoiled(draw.choice(_SEEDS.setdefault(target, seeds(target))), draw), tmp_path)


_SEEDS: dict[str, list[bytes]] = {}


@pytest.mark.slow
@pytest.mark.parametrize("target", [t for t in READERS if t not in ("pairs", "motion", "lifter")])
@many
@given(document=anything)
def test_any_json_is_read_or_refused(target, tmp_path, document):
    check(target, json.dumps(document).encode(), tmp_path)


@pytest.mark.slow
@many
@given(data=st.data())
def test_any_value_at_any_place_of_keypoints(tmp_path, data):
    whole = document()
    inner = whole
    for _ in range(data.draw(st.integers(1, 5))):
        keys = list(inner) if isinstance(inner, dict) else list(range(len(inner)))
        key = data.draw(st.sampled_from(keys))
        if not isinstance(inner[key], (dict, list)) or not inner[key]:
            break
        inner, last = inner[key], (inner, key)
    else:
        inner, key = last
    inner[key] = data.draw(anything)
    check("keypoints", json.dumps(whole).encode(), tmp_path)


@pytest.mark.slow
@many
@given(data=st.data())
def test_any_array_in_a_motion(tmp_path, data):
    """Other types, shapes and values in one array; what is accepted can be saved again."""
    path = tmp_path / f"{GROUP[:7]}.vid3d.npz"
    arrays = _arrays(path)
    name = data.draw(st.sampled_from(sorted(arrays)))
    array = arrays[name]
    kind = data.draw(st.sampled_from(["value", "type", "shape", "meta"]))
    if kind == "value" and array.dtype.kind in "fi" and array.size:
        value = data.draw(st.floats() if array.dtype.kind == "f" else st.integers(-(2**62), 2**62))
        array = array.copy()
        with np.errstate(over="ignore"):
            array.reshape(-1)[data.draw(st.integers(0, array.size - 1))] = value
    elif kind == "type":
        array = array.astype(data.draw(st.sampled_from(["U9", "S9", "c16", "f2", "?", "i1", "M8[s]"
])), casting="unsafe") if (
            array.dtype.kind in "fib") else np.zeros(3)  # fmt: skip
    elif kind == "shape":
        array = array.reshape(-1)[: data.draw(st.integers(0, 9))]
    else:
        entries = data.draw(st.dictionaries(st.sampled_from(META), anything))
        name, array = "meta", np.array(json.dumps({**json.loads(str(arrays["meta"])), **entries}))
    np.savez(path, **{**arrays, name: array})
    try:
        motion = Motion.load(path)
    except Vid3dError:
        return
    Motion.load(motion.save(path))


META = ["fps", "schema", "source", "model", "options", "ground", "feet", "smooth", "dist", "pose2d"]
