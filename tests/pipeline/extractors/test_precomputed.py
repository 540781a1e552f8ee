from __future__ import annotations

import copy
import hashlib
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from pipeline import params
from pipeline.extractors.extraction import Extraction, Machine
from pipeline.extractors.registry import EXTRACTORS
from pipeline.job.errors import ParamsError, RawDataError
from pipeline.params.features import Precomputed

ITEMS = pl.Series("raw_id", ["b", "nowhere", "a", None, "b"], pl.String)
MATRIX = np.array([[1.5, -2.0, 0.25], [3.0, 4.0, 5.0], [6.0, 7.0, 8.0]])
LISTS = {
    "list": pa.list_,
    "large_list": pa.large_list,
    "fixed": lambda number: pa.list_(number, 3),
}


def run(path: Path, items: pl.Series = ITEMS, **settings: str) -> Extraction:
    section = Precomputed(extractor="precomputed", path=str(path), **settings)
    return EXTRACTORS["precomputed"].texts(items, section, 1, Machine())


def parquet(
    folder: Path, ids: object, vectors: object, kind: pa.DataType | None = None
) -> Path:
    path = folder / "own.parquet"
    column = pa.array(vectors, kind or pa.list_(pa.float32()))
    pq.write_table(pa.table({"raw_id": pa.array(ids), "feature": column}), path)
    return path


def npy(folder: Path, matrix: np.ndarray, ids: str) -> tuple[Path, str]:
    path, names = folder / "own.npy", folder / "ids.txt"
    np.save(path, matrix)
    names.write_text(ids, encoding="utf-8")
    return path, str(names)


def check(extraction: Extraction) -> None:
    """Rows a, b and c of `MATRIX` for `ITEMS`."""
    vectors = list(extraction.vectors)
    assert [v is not None for v in vectors] == [True, False, True, False, True]
    np.testing.assert_array_equal([vectors[0], vectors[2], vectors[4]], MATRIX[[1, 0, 1]])
    assert {v.dtype for v in vectors if v is not None} == {np.dtype(np.float32)}
    assert extraction.dim == 3


@pytest.mark.parametrize("shape", LISTS)
@pytest.mark.parametrize("number", [pa.float16(), pa.float32(), pa.float64()], ids=str)
def test_parquet_of_every_kind_of_list(tmp_path, shape, number):
    values = list(MATRIX.astype(number.to_pandas_dtype()))
    path = parquet(tmp_path, ["a", "b", "c"], values, LISTS[shape](number))

    extraction = run(path)

    check(extraction)
    assert extraction.weights == "own.parquet"
    assert extraction.weights_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert extraction.preprocessing == {"vectors": "as given in own.parquet"}


def test_parquet_as_polars_writes_it_with_columns_by_name(tmp_path):
    path = tmp_path / "own.parquet"
    vectors = pl.Series("v", MATRIX, pl.Array(pl.Float64, 3))
    pl.DataFrame({"asin": ["a", "b", "c"], "other": [1, 2, 3], "v": vectors}).write_parquet(
        path
    )

    check(run(path, id_column="asin", column="v"))


def test_whole_numbers_are_ids_as_text(tmp_path):
    path = parquet(tmp_path, pa.array([7, 12], pa.int64()), MATRIX[:2].tolist())

    vectors = list(run(path, pl.Series("raw_id", ["12", "07"])).vectors)

    assert vectors[0].tolist() == MATRIX[1].tolist()
    assert vectors[1] is None


def test_a_null_in_place_of_a_vector_is_an_item_without_one(tmp_path):
    path = parquet(tmp_path, ["a", "b"], [None, [1.0, 2.0]])

    assert [v is None for v in run(path).vectors] == [False, True, True, True, False]


def test_rows_in_several_batches(tmp_path):
    """Widths and repetitions are compared across them."""
    n = 1000
    rows = [[float(row), 1.0] for row in range(n)]
    ids = [str(row) for row in range(n)]

    vectors = list(run(parquet(tmp_path, ids, rows), pl.Series("raw_id", ["999", "0"])).vectors)

    assert [v.tolist() for v in vectors] == [[999.0, 1.0], [0.0, 1.0]]
    rows[-1] = [1.0]
    with pytest.raises(RawDataError, match="one width, got 2 numbers and, for '999', 1"):
        run(parquet(tmp_path, ids, rows), pl.Series("raw_id", ["999", "0"]))


@pytest.mark.parametrize("number", ["float16", "float32", "float64", ">f4"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_npy_with_ids(tmp_path, number, order):
    path, ids = npy(tmp_path, np.asarray(MATRIX, number, order=order), "a\r\nb\r\nc\r\n")

    extraction = run(path, ids=ids)

    check(extraction)
    assert extraction.weights_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    sha256 = hashlib.sha256(Path(ids).read_bytes()).hexdigest()
    assert extraction.preprocessing == {
        "vectors": "as given in own.npy",
        "ids": "ids.txt",
        "ids_sha256": sha256,
    }


def test_ids_that_are_not_those_of_the_rows(tmp_path):
    with pytest.raises(RawDataError, match=r"ids\.txt: expected 3 lines.*got 2"):
        run(*npy(tmp_path, MATRIX, "a\nb\n")[:1], ids=str(tmp_path / "ids.txt"))
    path, ids = npy(tmp_path, MATRIX, "a\nb\nb")
    with pytest.raises(RawDataError, match="got two for 'b'"):
        run(path, ids=ids)
    Path(ids).write_bytes(b"a\nb\n\xff")
    with pytest.raises(RawDataError, match="expected ids in UTF-8"):
        run(path, ids=ids)


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (MATRIX[0], r"a matrix of float16.*shape \(3,\) of float64"),
        (MATRIX.astype(np.int64), "of int64"),
        (MATRIX[:, :0], r"shape \(3, 0\)|in \.npy format"),
        (np.array([["a"], ["b"]]), "of <U1"),
    ],
)
def test_npy_of_another_kind(tmp_path, matrix, message):
    path, ids = npy(tmp_path, matrix, "a\nb\nc\n")

    with pytest.raises(RawDataError, match=message):
        run(path, ids=ids)


def test_an_npy_of_objects_is_not_unpickled(tmp_path):
    path, ids = npy(tmp_path, MATRIX, "a\nb\nc\n")
    np.save(path, np.array([[Path("x")]], object), allow_pickle=True)

    with pytest.raises(RawDataError, match=r"own\.npy: expected a matrix in \.npy format"):
        run(path, ids=ids)


def test_damaged_files(tmp_path):
    path, ids = npy(tmp_path, MATRIX, "a\nb\nc\n")
    whole = path.read_bytes()
    for damaged in (whole[:-1], whole[:40], b"", b"PK\x03\x04" + whole):
        path.write_bytes(damaged)
        with pytest.raises(RawDataError, match=r"own\.npy: expected a matrix in \.npy format"):
            run(path, ids=ids)
    path = parquet(tmp_path, ["a"], [[1.0]])
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(RawDataError, match=r"own\.parquet: expected a Parquet file"):
        run(path)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e300, None])
def test_numbers_that_float32_cannot_hold(tmp_path, value):
    path = parquet(tmp_path, ["a", "b"], [[1.0, 2.0], [1.0, value]], pa.list_(pa.float64()))

    with pytest.raises(
        RawDataError, match=r"finite numbers within float32, got others for 'b'"
    ):
        run(path)


@pytest.mark.parametrize(
    ("ids", "vectors", "kind", "message"),
    [
        (["a", "b"], [[1.0, 2.0], [1.0]], None, "one width, got 2 numbers and, for 'b', 1"),
        (["a"], [[]], None, "one width, got 0"),
        (["a", "a"], [[1.0], [2.0]], None, "got two for 'a'"),
        ([1.5], [[1.0]], None, "column 'raw_id' to hold strings or whole numbers, got double"),
        (["a"], [1.0], pa.float32(), "column 'feature' to hold lists of float16.*got float"),
        (["a"], [[1]], pa.list_(pa.int32()), "column 'feature' to hold lists.*got list"),
        (["x", None], [[1.0], [2.0]], None, "none of 3 raw ids, such as 'b'"),
    ],
)
def test_parquet_of_another_kind(tmp_path, ids, vectors, kind, message):
    path = parquet(tmp_path, ids, vectors, kind)

    with pytest.raises(RawDataError, match=message):
        run(path)


def test_files_and_columns_that_are_absent(tmp_path):
    path = parquet(tmp_path, ["a"], [[1.0]])

    with pytest.raises(RawDataError, match=r"expected one column 'asin', got .*`id_column`"):
        run(path, id_column="asin")
    with pytest.raises(RawDataError, match=r"expected one column 'v', got .*`column`"):
        run(path, column="v")
    with pytest.raises(RawDataError, match=r"nowhere\.parquet.*: no such file"):
        run(tmp_path / "nowhere.parquet")
    npy(tmp_path, MATRIX, "")
    with pytest.raises(RawDataError, match=r"nowhere\.txt.*: no such file"):
        run(tmp_path / "own.npy", ids=str(tmp_path / "nowhere.txt"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"path": "own.csv"}, "expected `path` to end in .parquet or .npy"),
        ({"path": "own.npy"}, "expected either `ids`, "),
        ({"path": "own.parquet", "ids": "ids.txt"}, "expected neither `ids` nor `rows`: "),
        ({"path": "own.parquet", "field": "title"}, "raw_id"),
    ],
)
def test_settings_that_do_not_fit_together_name_their_key(settings, message):
    raw = copy.deepcopy(yaml.safe_load(Path("params.yaml").read_text()))
    raw["features"]["sample"]["visual"] = {"extractor": "precomputed"} | settings

    with pytest.raises(ParamsError, match=rf"features\.sample\.visual.*{message}"):
        params.parse(raw)


# --- rows by number -------------------------------------------------------------------------


def test_the_raw_id_is_the_row_of_a_matrix(tmp_path):
    np.save(tmp_path / "own.npy", MATRIX)
    items = pl.Series("raw_id", ["2", "0", None, "2"], pl.String)

    found = run(tmp_path / "own.npy", items, rows="item_id")

    vectors = list(found.vectors)
    np.testing.assert_array_equal([vectors[0], vectors[1], vectors[3]], MATRIX[[2, 0, 2]])
    assert vectors[2] is None
    assert vectors[0].dtype == np.float32


@pytest.mark.parametrize("raw_id", ["3", "-1", "01", "1.0", "b", "9" * 30])
def test_a_raw_id_that_is_no_row_is_refused(tmp_path, raw_id):
    np.save(tmp_path / "own.npy", MATRIX)
    items = pl.Series("raw_id", ["0", raw_id], pl.String)

    with pytest.raises(RawDataError, match=rf"its 3 rows, from 0 to 2, got '{raw_id}'; name"):
        run(tmp_path / "own.npy", items, rows="item_id")


@pytest.mark.parametrize(
    ("path", "more"),
    [("own.npy", {"ids": "ids.txt", "rows": "item_id"}), ("own.parquet", {"rows": "item_id"})],
)
def test_rows_and_ids_exclude_each_other(path, more):
    with pytest.raises(ValueError, match=r"expected (either|neither) `ids`"):
        Precomputed(extractor="precomputed", path=path, **more)
