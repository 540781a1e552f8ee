import numpy as np
import polars as pl
import pytest

from pipeline.extractors.item_tokens import visual_words, words
from pipeline.job.errors import RawDataError
from pipeline.params.tokens import VisualWords, Words


def section(**settings):
    return Words(extractor="words", **({"max_share": 1.0} | settings))


def clusters(**settings):
    return VisualWords(extractor="visual_words", **settings)


TITLES = pl.Series("title", ["Red lamp, red", None, "a <b>LAMP</b>", "blue chair", ""])


def test_words_are_the_distinct_words_of_an_item_in_the_order_of_the_vocabulary():
    """a, blue, chair, lamp, red; HTML and case are gone, as for the text extractors."""
    made = words(TITLES, section())

    assert made.ids.to_list() == [[3, 4], [], [0, 3], [1, 2], []]
    assert made.ids.dtype == pl.List(pl.Int32)
    assert made.vocabulary == 5


def test_rare_and_frequent_words_are_left_out_and_counted():
    made = words(TITLES, section(min_count=2))
    assert (made.ids.to_list(), made.vocabulary) == ([[0], [], [0], [], []], 1)  # lamp
    assert made.preprocessing["too_rare"] == 4

    made = words(TITLES, section(max_share=0.2))  # one of five items: all but lamp
    assert made.ids.to_list() == [[3], [], [0], [1, 2], []]
    assert made.preprocessing["too_frequent"] == 1


def test_tokens_of_a_published_split_are_taken_as_they_are():
    lists = pl.Series("title_tokens", [["12", "7", "12"], None, [], ["7"]])

    made = words(lists, section())

    assert made.ids.to_list() == [[0, 1], [], [], [1]]
    assert made.preprocessing["words"] == "as given"


def test_texts_without_a_word_are_refused_and_so_is_an_empty_vocabulary():
    with pytest.raises(RawDataError, match="'title': expected text, got 2 items"):
        words(pl.Series("title", ["", None], dtype=pl.String), section())
    with pytest.raises(RawDataError, match="a word of 3 to 5 items, got none among 5"):
        words(TITLES, section(min_count=3))


def blobs():
    """Three groups of directions of ten items each, of various lengths; two items have none."""
    generator = np.random.default_rng(0)
    directions = np.repeat(np.eye(3), 10, axis=0) + 0.05 * generator.standard_normal((30, 3))
    rows = directions * generator.uniform(0.1, 9, (30, 1))
    feature = np.zeros((32, 3), np.float32)
    feature[:30] = rows
    return np.arange(32) < 30, feature


def test_visual_words_are_the_clusters_that_an_item_is_nearest_to():
    """The length of a feature does not count; items without it have no word."""
    made = visual_words(*blobs(), clusters(clusters=3, nearest=1), seed=1)

    found = made.ids.to_list()
    assert found[30:] == [[], []]
    assert [len({tuple(found[i]) for i in range(g, g + 10)}) for g in (0, 10, 20)] == [1, 1, 1]
    assert len({tuple(ids) for ids in found[:30]}) == made.vocabulary == 3


def test_visual_words_are_several_distinct_ones_and_the_same_again():
    first, again, other = (
        visual_words(*blobs(), clusters(clusters=8, nearest=3), seed=seed) for seed in (1, 1, 2)
    )

    assert first.ids.equals(again.ids)
    assert not first.ids.equals(other.ids)
    assert {len(set(ids)) for ids in first.ids[:30]} == {3}
    assert first.ids[:30].list.eval(pl.element().diff().drop_nulls() > 0).list.all().all()


def test_nearest_is_by_the_distance_to_the_centre():
    present, feature = blobs()
    made = visual_words(present, feature, clusters(clusters=8, nearest=2), seed=1)
    rows = feature[:30] / np.linalg.norm(feature[:30], axis=1, keepdims=True)
    first = visual_words(present, feature, clusters(clusters=8, nearest=1), seed=1).ids[:30]
    members = np.array(first.to_list())[:, 0]
    centres = np.stack([rows[members == c].mean(0) for c in range(8)])  # of converged k-means

    distances = np.linalg.norm(rows[:, None] - centres, axis=2)

    expected = np.sort(np.argsort(distances, axis=1)[:, :2], axis=1)
    assert made.ids[:30].to_list() == expected.tolist()


def test_more_clusters_than_different_items_are_refused():
    feature = np.repeat(np.eye(4, dtype=np.float32), 3, axis=0)

    with pytest.raises(RawDataError, match=r"'visual': expected 5 .* got 4; lower clusters"):
        visual_words(np.ones(12, bool), feature, clusters(clusters=5, nearest=1), seed=1)
