import pytest
import torch
import toy
from torch.nn.functional import logsigmoid

from model.data import Interactions
from model.graph import symmetric
from model.parts.item_graph import content_neighbours
from model.recommenders import build
from model.recommenders.freedom import kept_edges


def make(features=None, **changes):
    content = toy.features() if features is None else features
    settings = toy.SETTINGS["freedom"] | changes
    return build("freedom", toy.interactions(), content, generator=toy.generator(), **settings)


def scores(model):
    return model.eval().scorer()(torch.arange(30))


def first_batch(model):
    return next(model.batches(toy.interactions(), 16, toy.generator()))


@pytest.mark.parametrize("layers", [0, 1, 3])
def test_without_item_graph_dropout_and_content_it_is_lightgcn(layers):
    off = {"item_layers": 0, "edge_dropout": 0.0, "content_weight": 0.0, "l2": 0.1}
    model = make(layers=layers, **off)
    settings = {"dim": toy.DIM, "layers": layers, "l2": 0.1}
    lightgcn = build("lightgcn", toy.interactions(), {}, generator=toy.generator(9), **settings)
    lightgcn.load_state_dict(model.state_dict())  # the same tables, by the same names
    batch = first_batch(model)

    assert torch.equal(model.loss(batch), lightgcn.loss(batch))
    assert torch.equal(scores(model), scores(lightgcn))


def test_items_receive_the_weighted_mean_of_themselves_and_their_neighbours():
    model, features = make(), toy.features()
    mean = {}
    for name, feature in features.items():
        near = content_neighbours(feature, 3).items
        rows = torch.cat([torch.arange(20)[:, None], near], dim=1)
        mean[name] = model.items[rows].mean(1)
    plain = make(item_layers=0)
    plain.load_state_dict(model.state_dict())

    found, without = model.eval().embeddings(), plain.eval().embeddings()

    # The weights are 0.1 of the visual one, and 1 of the textual one, which is not named.
    expected = (0.1 * mean["visual"] + mean["textual"]) / 1.1
    torch.testing.assert_close(found[1] - without[1], expected)
    assert torch.equal(found[0], without[0])


def test_two_item_layers_are_the_neighbours_of_neighbours():
    model = make(item_layers=2)
    one = make(item_layers=0)
    one.load_state_dict(model.state_dict())

    near = model.item_graph(model.item_graph(model.items))

    torch.testing.assert_close(model.eval().embeddings()[1], one.eval().embeddings()[1] + near)


def test_a_modality_of_weight_0_and_items_without_content_add_nothing():
    features = toy.features()
    features["textual"][3] = 0.0
    model = make(features, modality_weights={"visual": 0.0})
    lone = make({"textual": features["textual"]}, modality_weights={})

    torch.testing.assert_close(
        model.item_graph.matrix.to_dense(), lone.item_graph.matrix.to_dense()
    )
    assert not model.item_graph.matrix.to_dense()[3].any()


def test_the_loss_is_that_of_every_triple():
    model = make(l2=0.1, content_weight=0.3)
    batch = first_batch(model)
    users, items = model.embeddings()
    features = toy.features()

    total = torch.zeros(())
    for u, i, j in zip(batch.users, batch.positives, batch.negatives, strict=True):
        total -= logsigmoid(users[u] @ items[i] - users[u] @ items[j])
        rows = [model.users[u], model.items[i], model.items[j]]
        total += 0.1 / 2 * sum(row @ row for row in rows)
        for name, feature in features.items():
            projected = feature @ model.projections[name]
            total -= 0.3 * logsigmoid(users[u] @ projected[i] - users[u] @ projected[j])

    torch.testing.assert_close(model.loss(batch), total / 16)


def test_training_uses_the_edges_of_the_epoch_and_scores_use_all():
    model = make(item_layers=0)
    before = scores(model)

    first_batch(model.train())
    kept = kept_edges(toy.interactions(), 0.5, toy.generator())
    in_training = model.embeddings()

    nodes = torch.cat([model.users, model.items])
    layers = [nodes, symmetric(kept)(nodes)]
    layers.append(symmetric(kept)(layers[1]))
    expected = torch.stack(layers).mean(0)
    torch.testing.assert_close(torch.cat(in_training), expected)
    assert torch.equal(scores(model), before)


def test_every_epoch_has_its_own_edges():
    model, generator = make(), toy.generator()
    graphs = []
    for _ in range(2):
        next(model.batches(toy.interactions(), 16, generator))
        graphs.append(model.pruned.matrix.to_dense())

    assert not torch.equal(*graphs)


def test_edges_of_popular_nodes_are_likelier_to_be_left_out():
    """Two edges of weights 1 and 1 / sqrt(8): one of two is kept, in proportion."""
    users = torch.tensor([0] * 8 + [1])
    pairs = Interactions(users, torch.tensor([*range(8), 9]), n_users=2, n_items=10)
    generator, kept_lone = toy.generator(), 0

    for _ in range(4000):
        kept = kept_edges(pairs, 0.85, generator)  # one of nine
        assert len(kept) == 1
        kept_lone += int(kept.users[0] == 1)

    share = 1 / (1 + 8 * 8**-0.5)
    assert abs(kept_lone / 4000 - share) < 0.03  # four standard deviations


def test_the_kept_edges_are_a_share_of_the_pairs():
    pairs = toy.interactions()

    kept = kept_edges(pairs, 0.8, toy.generator())

    assert len(kept) == 30  # of 150
    assert pairs.contains(kept.users, kept.items).all()
    assert len(kept.keys) == 30


def test_the_parameters_alone_give_the_scores_again():
    model, again = make(), make()
    torch.nn.init.normal_(model.items, generator=toy.generator(5))

    again.load_state_dict(model.state_dict())

    assert torch.equal(scores(model), scores(again))
    assert set(model.state_dict()) == {
        "users", "items", "projections.visual", "projections.textual",
    }  # fmt: skip


def test_an_item_graph_without_content_is_refused():
    with pytest.raises(ValueError, match="at least one modality for item_layers above 0"):
        make({})
    with pytest.raises(ValueError, match="at least one modality for item_layers above 0"):
        make(modality_weights={"visual": 0.0, "textual": 0.0})
