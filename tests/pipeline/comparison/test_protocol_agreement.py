"""Whether sampled and full ranking put models in the same order."""

import polars as pl
import pytest
from scipy.stats import hypergeom

from pipeline.comparison import protocol_agreement, user_metrics


def models(values):
    """Give every metric of a model the same value in each protocol."""
    return {
        model: {
            part: {name: {"value": value} for name in user_metrics.names()}
            for part, value in zip(user_metrics.RANK, both, strict=True)
        }
        for model, both in values.items()
    }


OPPONENTS = pl.DataFrame({"user": [0, 1, 2], "opponents": [900, 1000, 5000]})


def test_models_in_different_orders_are_listed_with_the_better_sampled_one_first():
    agreement = protocol_agreement.between(
        models({"a": (0.5, 0.10), "b": (0.4, 0.20), "c": (0.3, 0.05)}), OPPONENTS, 99
    )

    hr = agreement["measures"]["hr@10"]
    assert (hr["sampled"], hr["full"]) == (["a", "b", "c"], ["b", "a", "c"])
    assert hr["disagree"] == [["a", "b"]]
    assert hr["kendall"] == pytest.approx(1 / 3)  # 2 of 3 pairs agree, 1 does not
    assert hr["spearman"] == pytest.approx(0.5)  # 1 - 6 * 2 / (3 * 8)


def test_a_tie_is_not_a_disagreement_and_one_model_has_no_correlation():
    tied = protocol_agreement.between(models({"a": (0.5, 0.1), "b": (0.5, 0.2)}), OPPONENTS, 99)
    alone = protocol_agreement.between(models({"a": (0.5, 0.1)}), OPPONENTS, 99)

    assert tied["measures"]["hr@5"]["disagree"] == []
    assert tied["measures"]["hr@5"]["kendall"] is None
    assert alone["measures"]["hr@5"]["spearman"] is None


def test_the_even_place_is_the_last_at_which_a_sampled_hit_is_as_likely_as_not():
    """About a tenth of the median user's thousand opponents."""
    place = protocol_agreement.between(models({"a": (0.5, 0.1)}), OPPONENTS, 99)["even"]["10"]

    assert hypergeom.cdf(9, 1000, place, 99) >= 0.5 > hypergeom.cdf(9, 1000, place + 1, 99)
    assert 90 < place < 105


def test_the_note_has_the_numbers_of_this_ranking():
    assert "among 99 random items" in protocol_agreement.note(99)
    assert "less than a tenth" in protocol_agreement.note(99)
    assert "among 19 random items" in protocol_agreement.note(19)
    assert "less than 50%" in protocol_agreement.note(19)
    assert protocol_agreement.note(19).endswith("the paper's, there with 99.")
