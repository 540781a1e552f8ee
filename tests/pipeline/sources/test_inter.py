"""Published benchmarks: labels in the file, and headers of MMRec and RecBole."""

import pytest
from limits import ledger

from pipeline import params
from pipeline.job.errors import RawDataError
from pipeline.sources import readers

ROWS = "7\t30\t0\n7\t31\t1\n7\t32\t2\n7\t33\t2\n8\t30\t0\n"


def read(folder, text, limit=0, **settings):
    (folder / "d.inter").write_text(text)
    source = params.InterSource(format="inter", interactions="d.inter", **settings)
    reader = readers.get("inter")
    return reader.read(source, folder, ledger(limit))


def test_a_row_is_in_the_part_of_its_label(tmp_path):
    tables = read(tmp_path, f"userID\titemID\tx_label\n{ROWS}")

    assert tables.reviews.rows() == [
        ("7", "30", None, None, "train"),
        ("7", "31", None, None, "validation"),
        ("7", "32", None, None, "test"),
        ("7", "33", None, None, "test"),
        ("8", "30", None, None, "train"),
    ]
    assert tables.items["raw_id"].to_list() == ["30", "31", "32", "33"]


def test_types_in_the_header_are_left_out(tmp_path):
    head = "user_id:token\titem_id:token\trating:float\ttimestamp:float\tx_label:float\n"

    reviews = read(tmp_path, f"{head}u\ti\t4.5\t978300760.0\t2.0\n").reviews

    assert reviews.rows() == [("u", "i", 978300760, 4.5, "test")]


def test_columns_of_other_names_are_named_in_params(tmp_path):
    columns = {"user": "who", "item": "what", "label": "part"}
    text = f"what\twho\tpart\n{ROWS}"

    assert read(tmp_path, text, columns=columns).reviews.row(1) == (
        "31", "7", None, None, "validation",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("head", "columns", "message"),
    [
        ("userID\titemID\tlabel", {}, r"a column 'x_label', got .*sources\..*columns\.label"),
        ("who\titemID\tx_label", {}, r"a column 'userID' or 'user_id', got"),
        ("userID\titemID\tx_label", {"rating": "stars"}, r"a column 'stars'.*columns\.rating"),
    ],
)
def test_an_absent_column_is_named_with_its_key(tmp_path, head, columns, message):
    with pytest.raises(RawDataError, match=message):
        read(tmp_path, f"{head}\n{ROWS}", columns=columns)


@pytest.mark.parametrize("label", ["3", "-1", "train", "", "0.5"])
def test_a_row_without_a_known_label_is_a_bad_line(tmp_path, label):
    text = f"userID\titemID\tx_label\n{ROWS}9\t30\t{label}\n"

    with pytest.raises(RawDataError, match=r"d\.inter:7: expected 0 \(train\), 1 .*'x_label'"):
        read(tmp_path, text)
    assert read(tmp_path, text, limit=1).reviews.height == 5


@pytest.mark.parametrize("label", ["0", "2"])
def test_a_pair_that_is_there_twice_is_refused_with_its_parts(tmp_path, label):
    part = {"0": "train", "2": "test"}[label]
    with pytest.raises(RawDataError, match=rf"user '7' and item '30' in train and {part}; 2 "):
        read(tmp_path, f"userID\titemID\tx_label\n{ROWS}7\t30\t{label}\n")


def test_a_wrong_number_of_fields_is_a_bad_line(tmp_path):
    with pytest.raises(RawDataError, match=r"d\.inter:7: expected"):
        read(tmp_path, f"userID\titemID\tx_label\n{ROWS}9\t30\n")
