import torch
import toy

from model.base import Measured
from model.data import Interactions
from model.fit import Record, Training, fit
from model.ranking import ranks
from model.recommenders.popularity import Popularity

SETTINGS = {}

# Item 1 has users 0 and 1, item 0 has user 0 three times, items 2 and 3 have nobody.
PAIRS = Interactions(
    torch.tensor([0, 0, 0, 0, 1]), torch.tensor([0, 0, 0, 1, 1]), n_users=3, n_items=4
)


def make(pairs=PAIRS):
    return Popularity(pairs, {}, generator=toy.generator(), **SETTINGS)


def test_the_score_is_the_number_of_distinct_users_for_everybody():
    scores = make().scorer()(torch.tensor([2, 0]))

    assert scores.tolist() == [[1.0, 2.0, 0.0, 0.0]] * 2


def test_ranking_does_not_change_the_counts():
    """Ranking hides known items by writing into the scores."""
    model = make()
    arguments = torch.tensor([0]), torch.tensor([2]), torch.tensor([[1, 3]]), PAIRS

    first = ranks(model.scorer(), *arguments)

    assert [r.tolist() for r in ranks(model.scorer(), *arguments)] == [
        r.tolist() for r in first
    ]
    assert make().scorer()(torch.tensor([0]))[0].tolist() == model.counts.tolist()


def test_there_is_nothing_to_learn_and_nothing_to_keep():
    model = make()
    training = Training(model, PAIRS, lr=0.0, batch_size=2, generator=toy.generator())

    records = list(
        fit(
            training,
            epochs=5,
            evaluate_every=1,
            patience=1,
            measure=lambda m: Measured(0.5, 0.25, 0.75),
        )
    )

    assert not model.learns
    assert records == [Record(epoch=0, loss=None, hr=0.5, ndcg=0.25, value=0.75)]
    assert training.best == {}
