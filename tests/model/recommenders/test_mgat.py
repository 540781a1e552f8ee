import math

import pytest
import torch
import toy

from model.data import Batch, Interactions
from model.fit import Training
from model.recommenders.mgat import MGAT, AttentionLayer
from model.sampler import user_uniform

SETTINGS = {
    "dim": 8, "layers": 2, "content_dim": 8, "feature_norm": "none", "representation": "concat",
    "gate": "receiver", "loss_form": "mean", "l2": 0.001,
}  # fmt: skip
EVERYONE = torch.arange(toy.N_USERS)


def make(features=None, interactions=None, seed=1, **changes):
    return MGAT(
        toy.interactions() if interactions is None else interactions,
        toy.features() if features is None else features,
        generator=toy.generator(seed),
        **(SETTINGS | changes),
    )


def batch(size=16):
    return next(user_uniform(toy.interactions(), size, toy.generator()))


def leaky(x):
    return torch.where(x > 0, x, 0.01 * x)


def neighbours(interactions):
    around = [[] for _ in range(50)]
    for user, item in zip(*(t.tolist() for t in interactions.unique_pairs), strict=True):
        around[user].append(30 + item)
        around[30 + item].append(user)
    return around


def layer_by_hand(step, layer, identity, around, gate):
    z = [step.aggregate.weight @ x for x in layer]
    new = []
    for i, sources in enumerate(around):
        scores = []
        for j in sources:
            c = z[i] @ leaky(z[j])
            degree = len(sources) if gate == "receiver" else len(around[j])
            scores.append(c * torch.sigmoid(c / math.sqrt(degree)))
        shares = torch.stack(scores).exp()
        shares = shares / shares.sum()
        heard = sum(a * z[j] for a, j in zip(shares, sources, strict=True)) + step.bias
        heard = heard / heard.norm()
        side = leaky(step.combine.weight @ heard + step.combine.bias)
        own = leaky(step.transform.weight @ layer[i] + step.transform.bias)
        new.append(leaky(side + own + identity[i]))
    return torch.stack(new)


def by_hand(model, name, feature, gate):
    """The layers of one modality, one node and one neighbour at a time."""
    nodes = model.graphs.nodes[name]
    linear = nodes.project[0]
    items = [torch.tanh(linear.weight @ row + linear.bias) for row in feature]
    layer = torch.stack([x / x.norm() for x in [*nodes.users, *items]])
    layers, around = [], neighbours(toy.interactions())
    for step in model.graphs.layers[name]:
        layer = layer_by_hand(step, layer, model.graphs.identity, around, gate)
        layers.append(layer)
    return layers


@pytest.mark.parametrize("gate", ["receiver", "source"])
@pytest.mark.parametrize("representation", ["concat", "last"])
def test_scores_are_the_formula(gate, representation):
    model = make(gate=gate, representation=representation)
    for parameter in model.parameters():
        if parameter.dim() == 1:  # biases start at 0, where a missing one would not show
            torch.nn.init.normal_(parameter, generator=toy.generator())
    hands = [by_hand(model, n, f, gate) for n, f in toy.features().items()]
    if representation == "last":
        nodes = (hands[0][-1] + hands[1][-1]) / 2
    else:
        nodes = (torch.cat(hands[0], 1) + torch.cat(hands[1], 1)) / 2

    torch.testing.assert_close(model.scorer()(EVERYONE), nodes[:30] @ nodes[30:].T)


def test_equal_attention_is_mean_aggregation():
    """Users and items in orthogonal halves have c_ij = 0 on every edge."""
    model = make()
    edges, layer = model.graphs.edges, AttentionLayer(8, 8, "receiver")
    torch.nn.init.eye_(layer.aggregate.weight)
    nodes = torch.rand(50, 8, generator=toy.generator())
    nodes[:30, 4:], nodes[30:, :4] = 0.0, 0.0

    attention = layer.attention(nodes, edges)

    torch.testing.assert_close(attention, 1.0 / edges.degree[edges.receivers])
    torch.testing.assert_close(edges.sum(attention, nodes), edges.mean(nodes))


def test_attention_is_a_convex_combination_that_is_not_the_mean():
    model = make()
    edges, layer = model.graphs.edges, model.graphs.layers["visual"][0]
    attention = layer.attention(3.0 * model.graphs.nodes["visual"](), edges)

    totals = torch.zeros(50).index_add(0, edges.receivers, attention)

    torch.testing.assert_close(totals, torch.ones(50))
    assert attention.min() > 0
    assert (attention - 1.0 / edges.degree[edges.receivers]).abs().max() > 0.01


def test_the_gates_differ_only_in_whose_neighbours_they_count():
    receiver, source = make(gate="receiver"), make(gate="source")

    assert receiver.graphs.edges.degree.unique().numel() > 1
    assert not torch.equal(receiver.scorer()(EVERYONE), source.scorer()(EVERYONE))
    for one, other in zip(receiver.parameters(), source.parameters(), strict=True):
        assert torch.equal(one, other)


def test_one_layer_is_the_same_joined_or_last():
    joined, last = (make(layers=1, representation=r) for r in ("concat", "last"))

    assert torch.equal(joined.scorer()(EVERYONE), last.scorer()(EVERYONE))


def loss_by_hand(model, drawn, logarithm):
    scores = model.scorer()(EVERYONE)
    rows = zip(drawn.users, drawn.positives, drawn.negatives, strict=True)
    return sum(-logarithm((scores[u, i] - scores[u, j]).sigmoid()) for u, i, j in rows)


def test_the_loss_is_the_formula():
    model, drawn = make(l2=0.5), batch(4)
    identity = model.graphs.identity
    rows = [identity[drawn.users], identity[30 + drawn.positives]]
    rows += [identity[30 + drawn.negatives]]
    rows += [table[drawn.users] for table in model.graphs.user_tables]
    penalty = sum(row.square().sum() for row in rows)

    expected = (loss_by_hand(model, drawn, torch.log) + 0.25 * penalty) / 4

    torch.testing.assert_close(model.loss(drawn), expected)
    assert model.weight_decay == 0.0


def test_the_released_loss_is_a_sum_of_binary_logarithms_with_adams_decay():
    model, drawn = make(l2=0.5, loss_form="released"), batch(4)

    torch.testing.assert_close(model.loss(drawn), loss_by_hand(model, drawn, torch.log2))
    assert model.weight_decay == 0.5


def test_one_modality_leaves_no_trace_of_others():
    model = make({"visual": toy.features()["visual"]})
    hand = torch.cat(by_hand(model, "visual", toy.features()["visual"], "receiver"), 1)

    torch.testing.assert_close(model.scorer()(EVERYONE), hand[:30] @ hand[30:].T)
    assert not [name for name, _ in model.named_parameters() if "textual" in name]


@pytest.mark.parametrize("changes", [{}, {"loss_form": "released"}, {"layers": 1}])
def test_every_parameter_gets_a_gradient(changes):
    model = make(**changes)
    model.loss(batch()).backward()

    assert [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


@pytest.mark.parametrize("form", ["mean", "released"])
def test_the_loss_falls_in_a_few_epochs(form):
    training = Training(
        make(loss_form=form),
        toy.interactions(),
        lr=0.02,
        batch_size=16,
        generator=toy.generator(),
    )

    losses = [training.run_epoch() for _ in range(8)]

    assert losses[-1] < 0.9 * losses[0]


def test_absent_features_and_lonely_nodes_give_finite_scores_and_gradients():
    """A lonely node's message is the bias, at 0, whose direction has no gradient."""
    features = {name: feature.clone() for name, feature in toy.features().items()}
    for feature in features.values():
        feature[:3] = 0.0
    pairs = Interactions(torch.tensor([0, 1]), torch.tensor([3, 4]), n_users=30, n_items=20)
    model = make(features, pairs)  # user 5 and items 0 to 2 are lonely
    drawn = Batch(*torch.tensor([[5, 0], [0, 3], [1, 2], [1, 2]]))

    model.loss(drawn).backward()

    assert model.scorer()(EVERYONE).isfinite().all()
    assert all(p.grad.isfinite().all() for p in model.parameters())
    assert max(float(p.grad.abs().max()) for p in model.parameters()) < 1e3
