import math

import pytest
from handmade import metrics, ranks

from pipeline.compare import comparison, holm, markdown


def better(name):
    return metrics(name, sampled=metrics(name)["sampled"] | {"ndcg@10": 0.55})


def test_a_clear_difference_is_significant_and_none_has_no_p_value():
    table = comparison(
        {"good": better("good"), "same": metrics("same"), "bad": metrics("bad")},
        {"good": ranks([0] * 40), "same": ranks([0] * 40), "bad": ranks([3] * 40)},
        {},
    )

    assert table["best"] == "good"
    assert table["models"]["good"]["p_value"] is None
    assert table["models"]["same"]["p_value"] is None
    assert table["models"]["bad"]["p_value"] < 1e-6


def test_p_values_do_not_depend_on_the_order_of_the_users():
    values = [0, 3, 1, 0, 12, 2, 5, 0] * 5
    one = comparison(
        {"a": better("a"), "b": metrics("b")}, {"a": ranks([0] * 40), "b": ranks(values)}, {}
    )
    table = {"a": ranks([0] * 40).reverse(), "b": ranks(values)}

    assert comparison({"a": better("a"), "b": metrics("b")}, table, {}) == one


def test_holm_worked_by_hand():
    assert holm([0.04, 0.01, None, 0.03]) == pytest.approx([0.06, 0.03, None, 0.06])


def test_the_table_marks_the_best_and_states_the_protocol():
    text = markdown(
        comparison(
            {"a": better("a"), "b": metrics("b")}, {"a": ranks([0, 1]), "b": ranks([0, 4])}, {}
        )
    )

    assert (
        "| a | **0.5000** | **0.4000** | **0.6000** | **0.5500** | **0.6000** | **0.4500** |  |"
        in text
    )
    assert "1 target among 100 candidates, 99 fixed negatives" in text
    assert "1 target among 500 items" in text
    assert "optimistic" not in text
    assert "paper" not in text


def test_a_choice_on_test_is_called_optimistic_and_the_papers_numbers_stand_beside():
    chosen = metrics("a", optimistic=True, selected_on="test ndcg@10 (sampled)")

    text = markdown(comparison({"a": chosen}, {"a": ranks([0, 1])}, {"a": (0.4274, 0.3343)}))

    assert "| a (*optimistic*) |" in text
    assert "| 0.4274 | 0.3343 |" in text
    assert "chosen on the test set" in text


def test_gains_are_ndcg_at_10():
    from pipeline.compare import _gains

    assert _gains(ranks([0, 1, 9, 10])).tolist() == pytest.approx(
        [1.0, 1 / math.log2(3), 1 / math.log2(11), 0.0]
    )
