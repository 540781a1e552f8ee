import pytest
from limits import ledger
from paths import SHARED

from pipeline import params
from pipeline.job.errors import RawDataError
from pipeline.sources import published_split

SPLIT = params.PublishedSplitSource(format="published_split", folder="amazon-beauty")
FILES = {
    "train.txt": "0 2 1\n1 0\n",
    "validation.txt": "0 1\n",
    "test.txt": "1 2\n0 4\n",
    "i2e_title.txt": "0 70 71\n2\n",
    "i2e_visual.txt": "10 9\n0 8 8\n",
}


def read(folder, limit=0, **changed):
    for name, text in {**FILES, **{f"{k}.txt": v for k, v in changed.items()}}.items():
        (folder / name).write_text(text)
    return published_split.read(SPLIT, folder, ledger(limit))


def test_reviews_are_train_then_validation_then_test(tmp_path):
    assert read(tmp_path).reviews.rows() == [
        ("0", "2", None, None, "train"),
        ("0", "1", None, None, "train"),
        ("1", "0", None, None, "train"),
        ("0", "1", None, None, "validation"),
        ("1", "2", None, None, "test"),
        ("0", "4", None, None, "test"),
    ]


def test_items_are_all_ids_up_to_the_largest_of_any_file(tmp_path):
    items = read(tmp_path).items

    assert items["raw_id"].to_list() == [str(n) for n in range(11)]
    assert items["title_tokens"].to_list() == [["70", "71"], None, [], *[None] * 8]
    assert items["visual_tokens"].to_list() == [["8", "8"], *[None] * 9, ["9"]]
    assert items.select("title", "description", "image").null_count().row(0) == (11, 11, 11)


@pytest.mark.parametrize("line", ["0 x", "0 1.5", "-1 2", "0 1,2", "0 " + "9" * 19, "\x00"])
@pytest.mark.parametrize("name", ["train", "test", "i2e_title"])
def test_a_line_that_is_no_numbers_is_named(tmp_path, name, line):
    with pytest.raises(RawDataError, match=rf"{name}\.txt:2: expected whole numbers"):
        read(tmp_path, **{name: f"0 2\n{line}\n"})


def test_bad_lines_are_tolerated_up_to_the_limit(tmp_path):
    reviews = read(tmp_path, limit=1, train="0 2 1\noops\n1 0\n").reviews

    assert reviews.height == 6


@pytest.mark.parametrize("name", ["validation", "test"])
@pytest.mark.parametrize("text", ["1 2\n0 4 3\n", "1 2\n0 4\n0 3\n"])
def test_a_second_held_out_item_of_a_user_is_named(tmp_path, name, text):
    line = text[:-1].count("\n") + 1

    with pytest.raises(RawDataError, match=rf"{name}\.txt:{line}: .* for user 0: 3"):
        read(tmp_path, **{name: text})


def test_a_pair_that_repeats_in_train_is_kept(tmp_path):
    """The published Art split repeats pairs; a split is taken as it is."""
    assert read(tmp_path, train="0 1 1\n").reviews["item"].to_list()[:2] == ["1", "1"]


def test_a_user_without_items_has_no_row(tmp_path):
    assert read(tmp_path, train="0 2 1\n7\n").reviews["user"].to_list()[:2] == ["0", "0"]


def test_of_a_repeated_token_line_the_first_counts(tmp_path):
    items = read(tmp_path, i2e_title="0 70\n0 71\n").items

    assert items["title_tokens"].to_list()[0] == ["70"]


def test_a_damaged_id_does_not_ask_for_billions_of_items(tmp_path):
    with pytest.raises(
        RawDataError, match=r"item ids dense from 0, got 6 ids up to 4000000000"
    ):
        read(tmp_path, test="1 4000000000\n0 4\n")


def test_an_empty_file_is_refused(tmp_path):
    with pytest.raises(RawDataError, match=r"train\.txt: expected lines of whole numbers"):
        read(tmp_path, train="\n\n")


@pytest.mark.skipif(not SHARED.is_dir(), reason="the published data are not in ../shared/data")
def test_the_published_beauty_split_has_the_counts_of_the_paper():
    reviews, items = published_split.read(SPLIT, SHARED / "beauty_split", ledger(0))

    parts = dict(reviews.group_by("part").len().iter_rows())
    assert parts == {"train": 123742, "validation": 15576, "test": 15576}
    assert (reviews["user"].n_unique(), items.height) == (15576, 8678)
    assert items["title_tokens"].explode().n_unique() - 1 == 4039  # one is null
    assert items["visual_tokens"].explode().n_unique() == 962
