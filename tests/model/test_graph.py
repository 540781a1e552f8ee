import pytest
import torch
import toy

from model.data import Interactions
from model.graph import histories, layer_mean, popularity_aware, row_mean, symmetric

# Users 0, 1; items 0, 1, 2 (nodes 2, 3, 4). User 0 has items 0 and 1, user 1 has item 1.
PAIRS = Interactions(torch.tensor([0, 0, 1]), torch.tensor([0, 1, 1]), n_users=2, n_items=3)


def test_symmetric_is_lightgcns_matrix_and_lonely_nodes_get_zeros():
    matrix = symmetric(PAIRS).matrix.to_dense()

    half = 0.5**0.5
    expected = torch.zeros(5, 5)
    expected[0, 2] = expected[2, 0] = half  # degrees 2 and 1
    expected[0, 3] = expected[3, 0] = 0.5  # 2 and 2
    expected[1, 3] = expected[3, 1] = half  # 1 and 2
    torch.testing.assert_close(matrix, expected)


def test_popularity_aware_puts_the_smaller_exponent_on_the_neighbour():
    """Row = receiver with exponent -1/2, column = neighbour with -(1/2 - alpha)."""
    matrix = popularity_aware(PAIRS, 0.2).matrix.to_dense()

    # Degrees with self loops: user 0: 3, user 1: 2, items 0, 1, 2: 2, 3, 1.
    assert matrix[0, 2].item() == pytest.approx(3**-0.5 * 2**-0.3)
    assert matrix[2, 0].item() == pytest.approx(2**-0.5 * 3**-0.3)
    assert matrix[0, 0].item() == pytest.approx(3**-0.8)
    assert matrix[4, 4].item() == pytest.approx(1.0)
    assert matrix[0, 4].item() == 0.0


def test_the_exponents_of_each_norm_on_three_nodes():
    """One user (node 0) with both items (nodes 1 and 2); degrees with self loops 3, 2, 2."""
    star = Interactions(torch.tensor([0, 0]), torch.tensor([0, 1]), n_users=1, n_items=3)
    third, half = 1 / 3, 1 / 2
    exponents = [(popularity_aware(star, 0.3), 0.5, 0.2), (row_mean(star), 1.0, 0.0)]
    for graph, receiver, neighbour in exponents:
        matrix = graph.matrix.to_dense()[:3, :3]
        assert matrix[0].tolist() == pytest.approx(
            [third**receiver * degree**neighbour for degree in (third, half, half)]
        )
        assert matrix[1].tolist() == pytest.approx(
            [half**receiver * third**neighbour, half**receiver * half**neighbour, 0.0]
        )


def test_histories_are_koren_s_and_their_gradient_is_the_transpose():
    graph = histories(PAIRS)
    x = torch.randn(3, 4, generator=toy.generator(), requires_grad=True)
    expected = torch.tensor([[0.5**0.5, 0.5**0.5, 0.0], [0.0, 1.0, 0.0]])

    product = graph(x)
    (gradient,) = torch.autograd.grad(product[0].sum(), x)

    torch.testing.assert_close(product, expected @ x)
    torch.testing.assert_close(gradient, expected[0][:, None].expand(3, 4))


def test_row_mean_rows_sum_to_one_also_of_lonely_nodes():
    matrix = row_mean(PAIRS).matrix.to_dense()

    torch.testing.assert_close(matrix.sum(1), torch.ones(5))
    assert matrix[0].tolist() == pytest.approx([1 / 3, 0, 1 / 3, 1 / 3, 0])


def test_repeated_pairs_count_once():
    twice = Interactions(
        torch.tensor([0, 0, 0, 1]), torch.tensor([0, 1, 1, 1]), n_users=2, n_items=3
    )

    assert torch.equal(symmetric(twice).matrix.to_dense(), symmetric(PAIRS).matrix.to_dense())


@pytest.mark.parametrize("layers", [0, 1, 3])
def test_layer_mean_and_its_gradient_are_those_of_the_plain_sum(layers):
    graph = popularity_aware(toy.interactions(), 0.3)
    x = torch.randn(50, 4, generator=toy.generator(), requires_grad=True)
    weight = torch.randn(50, 4, generator=toy.generator(2))
    total = layer = x
    for _ in range(layers):
        layer = graph(layer)
        total = total + layer
    expected = total / (layers + 1)
    (expected_gradient,) = torch.autograd.grad((expected * weight).sum(), x)

    mean = layer_mean(graph, x, layers)
    (gradient,) = torch.autograd.grad((mean * weight).sum(), x)

    torch.testing.assert_close(mean, expected)
    torch.testing.assert_close(gradient, expected_gradient)
