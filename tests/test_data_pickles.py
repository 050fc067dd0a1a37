"""Pickles of data sets: arrays come out as numpy's own reader has them, and nothing runs."""

import collections
import io
import os
import pickle
import zipfile
from contextlib import suppress
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from vid3d.data.readers.pickles import load_object, load_pickle
from vid3d.errors import Vid3dError


def same(left, right):
    if isinstance(right, np.ndarray) and right.dtype != object:
        np.testing.assert_array_equal(left, right)
        assert left.dtype == right.dtype
        return
    if isinstance(right, dict):
        assert left.keys() == right.keys()
        for key in right:
            same(left[key], right[key])
        return
    if isinstance(right, list | tuple | np.ndarray):
        assert len(left) == len(right)
        for one, other in zip(left, right, strict=True):
            same(one, other)
        return
    assert left == right


NUMBERS = hnp.arrays(
    st.sampled_from(["<f4", ">f8", "i8", "<i2", "u1", "?", "<c8", "<U3", "S4"]),
    hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
)
LEAVES = st.one_of(NUMBERS, st.none(), st.booleans(), st.integers(), st.text(max_size=3))
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(VALUES, st.sampled_from([2, 3, 4, 5]))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_data_of_all_protocols_comes_out_as_it_was(tmp_path, value, protocol):
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps(value, protocol))
    same(load_pickle(path), value)


def test_what_numpy_saves_as_an_object(tmp_path):
    value = {
        "S1": {"Walking 1": [np.arange(6.0).reshape(3, 2), np.asfortranarray(np.eye(2))]},
        "n": np.float32(2.5), "o": collections.OrderedDict(a=1),
        "ragged": np.array([1, "x"], object),
    }  # fmt: skip
    np.savez_compressed(tmp_path / "a.npz", positions=value, other=3)
    read = load_object(tmp_path / "a.npz", "positions")
    assert read["n"] == 2.5
    assert read["o"] == {"a": 1}
    assert read["ragged"] == [1, "x"]
    same(read["S1"], value["S1"])
    for key, words in (("absent", "positions|absent"), ("other", "not an object")):
        with pytest.raises(Vid3dError, match=words):
            load_object(tmp_path / "a.npz", key)


PYTHON_2 = (  # pickle.dumps({'a': np.arange(2, dtype='<i2'), 'b': 'm'}, 2) as Python 2 wrote it
    b"\x80\x02}q\x00(U\x01aq\x01cnumpy.core.multiarray\n_reconstruct\nq\x02cnumpy\nndarray\nq\x03K\x00\x85"
    b"U\x01b\x87Rq\x04(K\x01K\x02\x85cnumpy\ndtype\nq\x05U\x02i2K\x00K\x01\x87Rq\x06(K\x03U\x01<NNNJ\xff"
    b"\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x04\x00\x00\x01\x00tbU\x01bU\x01mu."
)


def test_what_python_2_wrote(tmp_path):
    (tmp_path / "a.pkl").write_bytes(PYTHON_2)
    same(load_pickle(tmp_path / "a.pkl"), {"a": np.array([0, 1], "<i2"), "b": "m"})


class Runs:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def hostile(tmp_path):
    ran = tmp_path / "ran"
    yield "code", Runs(ran)
    yield "code in an array", np.array([Runs(ran)], object)
    yield "a function", os.system
    yield "a class", Path("x")
    yield "a date", date(2020, 1, 1)
    yield "a generator", np.random.default_rng(0)


def test_nothing_that_is_named_is_run(tmp_path):
    for name, value in hostile(tmp_path):
        path = tmp_path / "bad.pkl"
        path.write_bytes(pickle.dumps({"a": value}))
        with pytest.raises(Vid3dError, match=r"bad\.pkl is not read"):
            load_pickle(path)
        np.savez(tmp_path / "bad.npz", data={"a": value})
        with pytest.raises(Vid3dError, match=r"bad\.npz is not read"):
            load_object(tmp_path / "bad.npz", "data")
        assert not (tmp_path / "ran").exists(), name


CRAFTED = {
    "numpy's own constructor": b"cnumpy\nndarray\n(I99999999\ntR.",
    "an attribute of a known name": b"\x80\x04\x8c\x05numpy\x8c\x10dtype.__class__\x93.",
    "bytes of a number": b"cbuiltins\nbytes\n(I9999999999\ntR.",
    "text of a strange kind": b"c_codecs\nencode\n(S'x'\nS'zlib'\ntR.",
    "a list in itself": b"]q\x00h\x00a.",
    "a persistent name": b"Pname\n.",
    "a type of objects filled with bytes": b"\x80\x02cnumpy.core.multiarray\n"
    b"_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01K\x02\x85cnumpy\ndtype\nU\x02O8K\x00K\x01\x87R\x89U\x10"
    b"AAAAAAAAAAAAAAAAtb.",
    "fields": b"cnumpy\ndtype\n(S'V8'\ntR.",
}  # fmt: skip


@pytest.mark.parametrize("name", CRAFTED)
def test_crafted_streams(tmp_path, name):
    (tmp_path / "a.pkl").write_bytes(CRAFTED[name])
    if name == "a type of objects filled with bytes":
        assert load_pickle(tmp_path / "a.pkl") == ["A"] * 16  # text, never pointers
        return
    with pytest.raises(Vid3dError, match="is not read"):
        load_pickle(tmp_path / "a.pkl")


def test_lists_that_share_themselves_do_not_explode(tmp_path):
    value = ["x"]
    for _ in range(14):
        value = [value] * 9
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(value))
    assert len(load_pickle(tmp_path / "a.pkl")) == 9


@given(st.data())
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damaged_files_are_read_or_refused(tmp_path, data):
    whole = io.BytesIO()
    np.savez(whole, data={"TS1": {"data_2d": np.ones((2, 3)), "valid": np.array([1, 0])}})
    pickled = pickle.dumps({"a": [np.arange(3.0), "b"]}, 2)
    for name, content in (("a.npz", bytearray(whole.getvalue())), ("a.pkl", bytearray(pickled))):
        for _ in range(data.draw(st.integers(1, 4))):
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
        (tmp_path / name).write_bytes(content[: data.draw(st.integers(0, len(content)))])
    for read in (
        lambda: load_object(tmp_path / "a.npz", "data"),
        lambda: load_pickle(tmp_path / "a.pkl"),
    ):
        with suppress(Vid3dError):
            read()


def test_text_of_an_unknown_encoding_is_refused(tmp_path):
    whole = pickle.dumps([b"\xff"], 2)
    assert b"latin1" in whole  # how protocol 2 writes bytes
    (tmp_path / "a.pkl").write_bytes(whole.replace(b"latin1", b"fatin1"))
    with pytest.raises(Vid3dError, match=r"a.pkl is not read \(unknown encoding: fatin1\)"):
        load_pickle(tmp_path / "a.pkl")


def test_bombs_are_refused_by_their_stated_size(tmp_path, monkeypatch):
    monkeypatch.setattr("vid3d.data.readers.arrays.MOST_ARRAYS", 1000)
    np.savez_compressed(tmp_path / "a.npz", data={"a": np.zeros(10_000)})
    assert (tmp_path / "a.npz").stat().st_size < 1000
    with pytest.raises(Vid3dError, match="larger"):
        load_object(tmp_path / "a.npz", "data")
    with zipfile.ZipFile(tmp_path / "b.npz", "w") as archive:
        archive.writestr("data.npy", b"")
    with pytest.raises(Vid3dError, match="not read"):
        load_object(tmp_path / "b.npz", "data")
