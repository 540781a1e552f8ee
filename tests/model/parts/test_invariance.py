import pytest
import torch
import toy

from model.base import Preparation
from model.parts.invariance import Invariance, Stages, disagreement
from model.parts.ultragcn import UltraGCN

BACKBONE = {
    "dim": 4, "negatives": 3, "loss": "bce", "weights": [1.0] * 4, "l2": 0.0001,
    "kappa": 1.0, "l2_projection": 0.01, "init": "xavier",
}  # fmt: skip
STAGES = {
    "pretrain_epochs": 2, "iterations": 2, "environments": 3, "environment_rounds": 2,
    "environment_epochs": 2, "mask_epochs": 2, "invariance": 0.7, "gate_l2": 0.1,
    "l2_projection": 0.01, "lr": 0.01, "batch_size": 16,
}  # fmt: skip


def search(features=None, scale=1.0, report=lambda line: None, **changes):
    known, content = toy.interactions(), toy.features() if features is None else features
    backbone = UltraGCN(known, content, generator=toy.generator(), **BACKBONE)
    with torch.no_grad():
        backbone.users.mul_(scale)
    preparation = Preparation(known, 16, 0.01, toy.generator(3), "cpu", None, report)
    return Invariance(backbone, Stages(**(STAGES | changes)), preparation)


def double(of):
    """Return the same in float64, for tight comparisons."""
    names = ("id_users", "content_users", "id_items", "content")
    for name in names:
        setattr(of, name, getattr(of, name).double())
    of.objective.double()
    return of


def joint_batches(of):
    groups = [torch.arange(e, 150, 3) for e in range(3)]
    return next(of._joint(groups))


def naive_loss(of, projection, opened, users, items):
    """The loss of an environment, from gathered vectors."""
    content = (of.content * opened) @ projection.T
    everything = torch.cat([of.id_items, content], dim=1)[items]
    people = torch.cat([of.id_users, of.content_users], dim=1)[users]
    scores = (people[:, None] * everything).sum(2)
    return of.objective(scores, users, items).sum()


def test_the_penalty_is_that_of_double_backpropagation():
    """With the projection's own penalty in every environment's gradient, which cancels."""
    of = double(search(scale=3.0))
    batches = joint_batches(of)
    projection = torch.randn(4, 18, generator=toy.generator(), dtype=torch.float64) / 3
    gate = torch.rand(18, generator=toy.generator(5), dtype=torch.float64) / 2 - 0.25
    learnt = projection.requires_grad_(), gate.requires_grad_()

    losses, gradients = [], []
    for users, items in batches:
        loss = naive_loss(of, projection, gate + 0.5, users, items)
        loss = loss + 0.01 * projection.square().sum()
        losses.append(loss)
        gradients.append(torch.autograd.grad(loss, projection, create_graph=True)[0])
    mean = sum(gradients) / 3
    spread = sum((g - mean) ** 2 for g in gradients)
    penalty = (((gate + 0.5) * spread) ** 2).sum()
    expected = sum(losses) / 3 + 1.05 * (0.7 * penalty + 0.1 * (gate**2).sum())
    of._draw = lambda width: torch.zeros(width, dtype=torch.float64)  # no noise

    ours = of.invariant_loss(projection, gate, batches, growth=1.05)

    torch.testing.assert_close(ours, expected)
    assert 0.7 * penalty > 0.01 * expected  # it matters in what follows
    for one, other in zip(
        torch.autograd.grad(ours, learnt), torch.autograd.grad(expected, learnt), strict=True
    ):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("kind", ["bce", "bpr"])
def test_the_closed_gradient_is_autograds(kind):
    of = double(search(scale=3.0))
    of.objective.kind = kind
    users, items = joint_batches(of)[0]
    projection = torch.randn(4, 18, generator=toy.generator(), dtype=torch.float64)
    opened = torch.rand(18, generator=toy.generator(5), dtype=torch.float64)
    projection.requires_grad_()

    loss, gradient = of.loss_and_gradient(projection, opened, users, items)
    expected = naive_loss(of, projection, opened, users, items)

    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(gradient, torch.autograd.grad(expected, projection)[0])


def test_the_noise_of_the_gates_is_small_and_drawn_anew():
    of = search()
    batches = joint_batches(of)
    projection, gate = of._draw_projection(), torch.zeros(18)
    with torch.no_grad():
        one, other = (of.invariant_loss(projection, gate, batches, 1.0) for _ in range(2))

    assert one != other
    torch.testing.assert_close(one, other, rtol=0.01, atol=0)


def test_environments_that_agree_are_not_penalised():
    gradient = torch.randn(4, 18, generator=toy.generator())

    assert disagreement(gradient.expand(3, 4, 18), torch.zeros(18)) < 1e-20


def test_a_closed_gate_has_no_penalty():
    gradients = torch.randn(3, 4, 18, generator=toy.generator())

    assert disagreement(gradients, torch.full((18,), -0.5)) == 0
    assert disagreement(gradients, torch.zeros(18)) > 0


def test_pairs_move_to_the_projection_that_scores_them_highest():
    lines = []
    of = search(report=lines.append, environments=2, environment_rounds=3)
    chosen = [torch.rand(150, generator=toy.generator(seed)) for seed in range(9)]
    asked = iter(chosen)
    starts = []
    of._content_scores = lambda start, rows, mask: starts.append(start) or next(asked)

    labels = of.environments(torch.zeros(18))

    assert all(start is starts[0] for start in starts)  # environments differ by pairs alone
    assert labels.tolist() == (chosen[5] > chosen[4]).long().tolist()
    assert len(lines) == 3


def test_environments_stop_once_few_pairs_move():
    lines = []
    of = search(report=lines.append, environments=2, environment_rounds=9)
    kept = [torch.rand(150, generator=toy.generator(seed)) for seed in range(2)]
    asked = iter(kept * 9)
    of._content_scores = lambda start, rows, mask: next(asked)

    of.environments(torch.zeros(18))

    assert len(lines) == 2
    assert "0.0% of the pairs moved" in lines[1]


def test_a_projection_explains_the_pairs_that_it_was_trained_on():
    """Content is the item's parity, which all users are alike to: only pairs differ."""
    known = toy.interactions()
    of = search({"parity": torch.eye(2)[torch.arange(20) % 2]}, environment_epochs=10)
    of.content_users = torch.ones(30, 4)
    even = (known.items % 2 == 0).nonzero().squeeze(1)
    odd = (known.items % 2 == 1).nonzero().squeeze(1)
    start, mask = of._draw_projection(), torch.zeros(2)

    even_scores, odd_scores = (of._content_scores(start, rows, mask) for rows in (even, odd))

    assert (even_scores > odd_scores)[even].all()
    assert (odd_scores > even_scores)[odd].all()


def test_an_environment_without_pairs_scores_as_its_start():
    of = search()
    known, start = toy.interactions(), of._draw_projection()
    content = of.content @ start.T
    expected = (of.content_users[known.users] * content[known.items]).sum(1)

    scores = of._content_scores(start, torch.empty(0, dtype=torch.long), torch.ones(18))

    torch.testing.assert_close(scores, expected)


def test_a_projection_avoids_the_dimensions_of_the_mask():
    """With one dimension of content for each item, scores tell the weights (and the bias)."""
    of = search({"identity": torch.eye(20)}, scale=8.0, environment_epochs=20)
    start, rows = of._draw_projection(), torch.arange(150)
    mask = torch.zeros(20).index_fill(0, torch.arange(10), 1e5)

    free = of._content_scores(start, rows, torch.zeros(20))
    kept = of._content_scores(start, rows, mask)
    paid = toy.interactions().items < 10

    assert kept[paid].abs().mean() < 0.3 * free[paid].abs().mean()
    assert kept[~paid].abs().mean() > 0.8 * free[~paid].abs().mean()


def test_small_environments_repeat_during_one_epoch_of_the_largest():
    of = search(batch_size=10)
    groups = [torch.arange(35), torch.arange(35, 40)]

    steps = list(of._joint(groups))
    sizes = [[len(users) for users, _ in batches] for batches in steps]

    assert sizes == [[10, 5], [10, 5], [10, 5], [5, 5]]
    known = toy.interactions()
    seen = torch.cat([batches[0][0] * 20 + batches[0][1][:, 0] for batches in steps])
    expected = known.users[:35] * 20 + known.items[:35]
    assert torch.equal(seen.sort().values, expected.sort().values)


def test_an_empty_environment_is_skipped_when_the_mask_is_learned():
    of = search(environments=3)
    labels = torch.arange(150) % 2  # none in the third

    assert of.mask(labels, growth=1.0).isfinite().all()


def test_dimensions_that_differ_between_environments_are_masked():
    """Content 0 predicts alike everywhere; content 1 is high in one environment only."""
    known, items = toy.interactions(), torch.arange(20)
    content = torch.stack([items % 2 * 2.0 - 1, items // 2 % 2 * 2.0 - 1], dim=1)
    labels = (content[known.items, 1] > 0).long()

    def learn(invariance):
        changes = {"mask_epochs": 40, "lr": 0.02, "batch_size": 150, "invariance": invariance}
        of = search({"only": content}, **changes)
        of.content_users = torch.zeros(30, 4)
        of.content_users[:, 0] = torch.arange(30) % 2 * 2.0 - 1
        of.content_users[:, 1] = 1.0
        return of.mask(labels, growth=1.0).tolist()

    assert learn(0.0) == pytest.approx([1.0, 0.5], abs=0.1)
    assert learn(0.0001) == pytest.approx([1.0, 0.2], abs=0.1)


def test_the_tables_stay_as_they_are():
    of = search()
    before = of.id_users.clone(), of.content_users.clone(), of.id_items.clone()

    of.mask(of.environments(torch.zeros(18)), growth=1.0)

    assert all(
        torch.equal(one, other)
        for one, other in zip(before, (of.id_users, of.content_users, of.id_items), strict=True)
    )
