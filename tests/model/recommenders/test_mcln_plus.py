import pytest
import torch
import toy

from model.data import Interactions
from model.fit import Training
from model.losses import bpr, squared_norm
from model.parts.item_graph import shared_tokens
from model.parts.linear_items import LinearItems
from model.parts.token_stream import numbered
from model.recommenders import build
from model.sampler import user_uniform

EVERYONE = torch.arange(toy.N_USERS)
OFF = {"item_graph": "none", "linear_weight": 0.0}


def make(features=None, seed=1, **changes):
    content = toy.features() if features is None else features
    settings = toy.SETTINGS["mcln_plus"] | changes
    generator = toy.generator(seed)
    return build("mcln_plus", toy.interactions(), content, generator=generator, **settings)


def with_tokens(**changes):
    return make(toy.features() | toy.tokens(), **changes)


def batch(seed=1, size=16):
    return next(user_uniform(toy.interactions(), size, toy.generator(seed)))


@pytest.mark.parametrize("form", [{}, {"dropout": 0.5}, {"others": "hard"}, {"intra": False}])
def test_without_both_graphs_it_is_mcln_to_the_last_bit(form):
    """Parameters, losses while training, scores."""
    models = [
        build(name, toy.interactions(), toy.features(), generator=toy.generator(), **settings)
        for name, settings in (
            ("mcln", toy.MCLN | form),
            ("mcln_plus", toy.SETTINGS["mcln_plus"] | OFF | form),
        )
    ]
    losses, scores = [], []
    for model in models:
        training = Training(
            model, toy.interactions(), lr=0.01, batch_size=16, generator=toy.generator(3)
        )
        losses.append([training.run_epoch() for _ in range(3)])
        with torch.inference_mode():
            scores.append(model.eval().scorer()(EVERYONE))

    states = [model.state_dict() for model in models]
    assert losses[0] == losses[1]
    assert torch.equal(*scores)
    assert list(states[0]) == list(states[1])
    assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())


def test_the_token_stream_is_the_last_layer_over_users_items_and_tokens():
    """Against the matrix of Eq. 2-3, written out."""
    model = with_tokens()
    pairs = toy.interactions().unique_pairs
    n_users, n_items = toy.N_USERS, toy.N_ITEMS
    adjacency = torch.eye(n_users + n_items + 4 + 5, dtype=torch.float64)
    edges = [(u, n_users + i) for u, i in zip(*(x.tolist() for x in pairs), strict=True)]
    first = n_users + n_items
    edges += [(n_users + i, first + t) for i, t in toy.tokens()["words"].tolist()]
    edges += [(n_users + i, first + 4 + t) for i, t in toy.tokens()["colours"].tolist()]
    for left, right in edges:
        adjacency[left, right] = adjacency[right, left] = 1
    degree = adjacency.sum(1)
    matrix = degree[:, None] ** -0.5 * adjacency * degree**-0.4
    tables = torch.cat([model.tokens.users, model.tokens.items, model.tokens.tokens])

    expected = (matrix @ (matrix @ tables.double())).float()

    torch.testing.assert_close(torch.cat(model.tokens()), expected)


def test_the_loss_is_that_of_mcln_and_one_term_of_the_tokens():
    model, one = with_tokens(**OFF, token_l2=0.5), batch()
    users, items, _ = model.tokens()
    user = users[one.users]
    scores = [(user * items[rows]).sum(1) for rows in (one.positives, one.negatives)]
    norm = squared_norm(
        model.tokens.users[one.users],
        model.tokens.items[one.positives],
        model.tokens.items[one.negatives],
    )

    expected = make(**OFF).loss(one) + bpr(*scores) + 0.5 * norm

    torch.testing.assert_close(model.loss(one), expected)


def test_the_penalty_of_tokens_is_that_of_the_ids_unless_it_is_given():
    one = batch()

    assert torch.equal(with_tokens().loss(one), with_tokens(token_l2=0.001).loss(one))
    assert not torch.equal(with_tokens().loss(one), with_tokens(token_l2=0.5).loss(one))


@pytest.mark.parametrize("place", ["before", "after"])
def test_the_item_graph_adds_similar_items_before_or_after_the_layers(place):
    model, plain = make(item_graph=place), make(**OFF)
    dense = model.item_graph.matrix.to_dense()
    similar = dense @ model.items

    users, items = model.base()

    expected = plain.propagated(model.items + similar) if place == "before" else plain.base()
    torch.testing.assert_close(users, expected[0])
    torch.testing.assert_close(items, expected[1] + (place == "after") * similar)
    torch.testing.assert_close(dense, dense.T)


def test_the_item_graph_is_of_content_or_co_occurrence_or_both():
    graphs = {
        of: make(item_graph_of=of, item_neighbours=2).item_graph.matrix.to_dense() > 0
        for of in ("both", "content", "cooccurrence")
    }

    assert torch.equal(graphs["both"], graphs["content"] | graphs["cooccurrence"])
    assert not torch.equal(graphs["content"], graphs["cooccurrence"])
    without = make({}, item_graph_of="both", item_neighbours=2).item_graph.matrix.to_dense()
    assert torch.equal(without > 0, graphs["cooccurrence"])


def test_neighbours_by_content_of_no_features_are_refused():
    with pytest.raises(ValueError, match="item_graph_of: content: expected features"):
        make({}, item_graph_of="content")


def test_the_trained_score_is_the_sum_of_the_streams():
    model = with_tokens(linear_weight=0.0)

    users, items = model.base()
    token_users, token_items, _ = model.tokens()

    expected = users @ (items + model.all_content(items)).T + token_users @ token_items.T
    torch.testing.assert_close(model.scorer()(EVERYONE), expected)


def test_the_linear_model_has_its_share_of_the_spread_and_changes_no_training():
    with_linear, without = with_tokens(linear_weight=0.5), with_tokens(linear_weight=0.0)
    linear = LinearItems(
        toy.interactions(),
        l2=toy.SETTINGS["mcln_plus"]["linear_l2"],
        content=[(1.0, shared_tokens(numbered(list(toy.tokens().values()))[0], toy.N_ITEMS))],
        instead="",
    )

    trained, fixed = without.scorer()(EVERYONE), linear(EVERYONE)

    share = 0.5 * trained.std(1).mean() / fixed.std(1).mean()
    torch.testing.assert_close(with_linear.scorer()(EVERYONE), trained + share * fixed)
    assert torch.equal(with_linear.loss(batch()), without.loss(batch()))
    assert list(with_linear.state_dict()) == list(without.state_dict())


def test_every_parameter_learns_and_the_loss_falls():
    model = with_tokens()
    training = Training(
        model, toy.interactions(), lr=0.02, batch_size=16, generator=toy.generator()
    )
    before = {name: value.clone() for name, value in model.named_parameters()}

    losses = [training.run_epoch() for _ in range(8)]

    assert losses[-1] < 0.7 * losses[0]
    assert not [n for n, value in model.named_parameters() if torch.equal(value, before[n])]


def test_tokens_alone_order_items_that_nobody_took():
    """Users like items of their own parity, which is a word of every item, also of new ones."""
    pairs = toy.interactions()
    known = pairs.items < 16
    old = Interactions(
        pairs.users[known], pairs.items[known], n_users=toy.N_USERS, n_items=toy.N_ITEMS
    )
    settings = toy.SETTINGS["mcln_plus"] | OFF | {"intra": False, "counterfactual": False}
    parity = {"words": torch.stack([torch.arange(20), torch.arange(20) % 2], 1)}
    model = build("mcln_plus", old, parity, generator=toy.generator(), **settings)
    training = Training(model, old, lr=0.02, batch_size=16, generator=toy.generator())
    for _ in range(60):
        training.run_epoch()

    users, items = model.eval().tokens()[:2]

    scores = (users @ items[16:].T).detach()  # items 16 to 19, of parity 0, 1, 0, 1
    own = torch.where(EVERYONE % 2 == 0, scores[:, ::2].mean(1), scores[:, 1::2].mean(1))
    other = torch.where(EVERYONE % 2 == 0, scores[:, 1::2].mean(1), scores[:, ::2].mean(1))
    assert (own > other).float().mean() > 0.9


def test_renaming_items_renames_scores():
    """No item's score depends on its number; the item graph has no ties here."""
    order = torch.randperm(toy.N_ITEMS, generator=toy.generator(5))  # new id -> old id
    place = order.argsort()
    pairs = toy.interactions()
    renamed = Interactions(pairs.users, place[pairs.items], n_users=30, n_items=20)
    moved = {name: feature[order] for name, feature in toy.features().items()}
    moved |= {
        kind: torch.stack([place[rows[:, 0]], rows[:, 1]], 1)
        for kind, rows in toy.tokens().items()
    }
    model = with_tokens(inference="self").eval()
    settings = toy.SETTINGS["mcln_plus"] | {"inference": "self"}
    other = build("mcln_plus", renamed, moved, generator=toy.generator(), **settings).eval()
    state = model.state_dict()
    state |= {name: state[name][order] for name in ("items", "tokens.items")}
    other.load_state_dict(state)

    torch.testing.assert_close(
        other.scorer()(EVERYONE), model.scorer()(EVERYONE)[:, order], rtol=1e-4, atol=1e-5
    )
