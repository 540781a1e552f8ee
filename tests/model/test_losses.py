import math

import pytest
import torch

from model.losses import bpr, squared_norm


def test_bpr_is_the_mean_of_minus_log_sigmoid():
    positive, negative = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 2.0])
    expected = sum(-math.log(1 / (1 + math.exp(-d))) for d in (1.0, -2.0)) / 2

    assert bpr(positive, negative).item() == pytest.approx(expected)


def test_bpr_stays_finite_where_log_sigmoid_does_not():
    assert bpr(torch.tensor([-500.0]), torch.tensor([500.0])).item() == pytest.approx(1000.0)


def test_squared_norm_is_half_the_sum_over_the_batch_size():
    one, two = torch.tensor([[3.0, 4.0], [0.0, 0.0]]), torch.tensor([[1.0, 0.0], [0.0, 2.0]])

    assert squared_norm(one, two).item() == pytest.approx((25 + 1 + 4) / (2 * 2))
