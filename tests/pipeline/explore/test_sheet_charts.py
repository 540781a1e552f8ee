"""The spots and dots of the map, and the bars."""

import numpy as np
import pytest

from pipeline.explore import sheet_charts


def test_pictures_never_share_a_cell_and_stay_near_their_place():
    places = np.random.default_rng(2).random((600, 2)) ** 2

    centres = sheet_charts.on_grid(places, range(600))

    cells = np.array([sheet_charts.COLUMNS, sheet_charts.ROWS])
    taken = {row: tuple(np.floor(at * cells)) for row, at in centres.items()}
    assert len(set(taken.values())) == len(taken) > 150
    for row, at in centres.items():
        assert 0 < at.min() <= at.max() < 1
        assert np.linalg.norm((at - places[row]) * cells) <= sheet_charts.REACH
    # A cell that has items is taken by one of them, not by one from another cell.
    inside = [tuple(cell) for cell in np.floor(places * cells)]
    assert {cell for row, cell in taken.items() if cell == inside[row]} == set(inside)


def test_a_full_map_has_no_more_pictures():
    cells = np.array([sheet_charts.COLUMNS, sheet_charts.ROWS])
    places = (np.argwhere(np.ones(cells)) + 0.5) / cells
    twice = np.concatenate([places, places])

    assert sorted(sheet_charts.on_grid(twice, range(len(twice)))) == list(range(len(places)))


def test_the_last_corner_of_the_map_is_in_the_last_cell():
    (at,) = sheet_charts.on_grid(np.ones((1, 2)), [0]).values()

    assert at.tolist() == [1 - 0.5 / sheet_charts.COLUMNS, 1 - 0.5 / sheet_charts.ROWS]


def test_boxes_that_are_kept_do_not_overlap_and_the_first_wins():
    places = np.array([[0.5, 0.5], [0.55, 0.5], [0.5, 0.9], [0.0, 0.5]])

    assert sheet_charts.thinned(places, [1, 0, 2, 3], (0.1, 0.1)) == [1, 2, 3]


def test_the_map_shows_queries_first_and_the_others_as_dots():
    places = np.full((40, 2), 0.5)
    sample = list(range(100, 140))

    drawn = sheet_charts.map_of(sample, places, [139, 120], pictured={120, 138, 139})

    assert drawn.pictures
    assert [(spot.item, spot.query) for spot in drawn.spots] == [(139, 1), (120, 2), (138, 0)]
    assert len(drawn.dots) == 37
    assert drawn.dots[0] == (50.0, 50.0)


def test_a_map_without_pictures_has_titles_and_every_dot():
    places = np.array([[0.0, 0.0], [1.0, 1.0], [1.0, 0.99]])

    drawn = sheet_charts.map_of([7, 8, 9], places, [9], pictured={1})

    assert not drawn.pictures
    assert [(spot.item, spot.query) for spot in drawn.spots] == [(9, 1), (7, 0)]
    assert len(drawn.dots) == 3


def test_lengths_are_counted_from_0():
    bars = sheet_charts.length_bars(np.array([1.0, 1.0, 0.999, 0.5]))

    assert (bars.edges[0], bars.edges[-1]) == (0, 1)
    assert bars.heights[-1] == 3
    assert sum(bars.heights) == 4
    assert bars.words == "from 0.5 to 1, median 0.9995"
    assert (bars.xs[0], bars.xs[-1], bars.ys[0]) == (0, 1, 0)
    assert bars.ys[-1] >= 3


@pytest.mark.parametrize(
    ("shares", "words"),
    [
        ([0.8, 0.1, 0.1], "80 % in the first direction, 2 hold 90 %"),
        ([0.0], "0 % in the first direction, 1 hold 90 %"),
    ],
)
def test_the_variance_is_in_per_cent(shares, words):
    bars = sheet_charts.variance_bars(np.array(shares))

    assert bars.words == words
    assert bars.heights == pytest.approx([100 * share for share in shares])
