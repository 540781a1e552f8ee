"""What recommend lists; its command line is run in test_train.py."""

import polars as pl
import torch

from model.data import Interactions
from model.ranking import inner_product
from pipeline.recommend import recommendations
from pipeline.tables.schema import RECOMMENDATIONS

# Both users like item 3 best, then 2, 1, 0.
SCORER = inner_product(torch.ones(2, 1), torch.tensor([[0.0], [1.0], [2.0], [3.0]]))
RAW_IDS = pl.DataFrame({"item": [0, 1, 2, 3], "raw_id": list("abcd")}).cast({"item": pl.Int32})


def test_lists_are_sorted_by_score_without_the_users_items():
    known = Interactions(torch.tensor([0, 1]), torch.tensor([3, 2]), n_users=2, n_items=4)

    lists = recommendations(SCORER, known, 2, RAW_IDS)

    assert dict(lists.schema) == RECOMMENDATIONS
    assert lists.rows() == [
        (0, 0, 2, "c", 2.0),
        (0, 1, 1, "b", 1.0),
        (1, 0, 3, "d", 3.0),
        (1, 1, 1, "b", 1.0),
    ]


def test_a_user_with_almost_all_items_gets_a_shorter_list():
    known = Interactions(torch.tensor([0, 0, 0]), torch.tensor([0, 1, 3]), n_users=2, n_items=4)

    lists = recommendations(SCORER, known, 3, RAW_IDS)

    assert lists.filter(pl.col("user") == 0)["raw_item"].to_list() == ["c"]
    assert lists.filter(pl.col("user") == 1)["raw_item"].to_list() == ["d", "c", "b"]
