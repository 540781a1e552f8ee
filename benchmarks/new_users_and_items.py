"""HR@10 of users and items that a model was trained without, scored as docs/deploy.md does.

    PYTHONPATH=. python benchmarks/new_users_and_items.py [MODEL] [FOLDER]

After `snakemake evaluate`, for the dataset `sample` and by default the model mcln: a fifth of
the users and a fifth of the items are left out, the model is trained on the other pairs of
train and validation for the checkpoint's epochs, and ranks test pairs. Beside it the same pairs
by the checkpoint, which knew all users and items, by popularity and by chance.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import polars as pl
import torch
from sklearn.linear_model import RidgeCV

from pipeline import params
from pipeline.explore.export import vectors
from pipeline.learning.checkpoint import restored
from pipeline.learning.command_line import Arguments
from pipeline.learning.dataset import Dataset
from pipeline.library.features import load_features
from pipeline.library.training import train

SHARE, SEED, K = 0.2, 1, 10


def hit_ratio(users: np.ndarray, items: np.ndarray, rows: list) -> float:
    """Return HR@K of (user, target, negatives), ties against the target."""
    ranks = [(items[n] @ users[u] >= items[t] @ users[u]).sum() for u, t, n in rows]
    return float((np.array(ranks) < K).mean())


def main() -> None:
    """Train without the new, and print both tables."""
    name = sys.argv[1] if len(sys.argv) > 1 else "mcln"
    folder = Path(sys.argv[2] if len(sys.argv) > 2 else ".")
    settings, dataset = params.load(), Dataset(folder / "data/processed/sample")
    places = [folder / path for path in ("data/features/sample", f"results/sample/{name}")]
    arguments = Arguments("sample", name, dataset.folder, *places, "cpu")
    with torch.inference_mode():
        model, facts = restored(settings, arguments, dataset)
        all_users, all_items = (rows.numpy() for rows in vectors(model, name))
    modalities = list(settings.dataset_features("sample"))
    features = [load_features(places[0] / f"{modality}.parquet") for modality in modalities]

    generator = np.random.default_rng(SEED)
    sizes = dataset.n_users, dataset.n_items
    new_users, new_items = (generator.permutation(n)[: int(SHARE * n)] for n in sizes)
    old_items = np.setdiff1d(np.arange(dataset.n_items), new_items)
    known = pl.concat([dataset.train, dataset.validation])
    is_new_user, is_new_item = pl.col("user").is_in(new_users), pl.col("item").is_in(new_items)
    rows = known.filter(~is_new_user & ~is_new_item)
    number = np.zeros(dataset.n_items, int)
    number[old_items] = np.arange(len(old_items))
    trained = train(
        settings.architecture(name),
        rows["user"].to_numpy(),
        number[rows["item"].to_numpy()],
        {m: f.vectors[old_items] for m, f in zip(modalities, features, strict=True)},
        epochs=facts["epoch"],
        n_users=dataset.n_users,
        n_items=len(old_items),
        batch_size=settings.train.batch_size,
        device="cpu",
        **settings.model(name, "sample").model_dump(),
    )
    with torch.inference_mode():
        users, of_old_items = (rows.numpy() for rows in vectors(trained.model, name))
    items = np.zeros((dataset.n_items, of_old_items.shape[1]), np.float32)
    items[old_items] = of_old_items

    test = pl.read_parquet(dataset.folder / "test.parquet").select("user", "item")
    has = np.zeros(sizes, bool)
    has[tuple(pl.concat([known, test]).to_numpy().T)] = True

    candidates = pl.read_parquet(dataset.folder / "candidates.parquet")
    ranked = candidates.filter((pl.col("part") == "test") & is_new_user & ~is_new_item)
    pairs = [
        (user, item, np.setdiff1d(negatives, new_items))
        for user, item, negatives in ranked.select("user", "item", "negatives").iter_rows()
    ]
    means = np.zeros_like(users)
    for user, chosen in known.filter(~is_new_item).group_by("user").agg("item").iter_rows():
        means[user] = items[chosen].mean(0)
    old_users = np.unique(rows["user"].to_numpy())
    to_user = RidgeCV(np.logspace(-4, 4, 9)).fit(means[old_users], users[old_users])
    counts = np.bincount(rows["item"].to_numpy(), minlength=dataset.n_items)[:, None]
    print(f"{name}: {len(pairs)} new users, the target among about 80 known items, HR@{K}")
    print(f"  knew them      {hit_ratio(all_users, all_items, pairs):.3f}")
    print(f"  from items     {hit_ratio(to_user.predict(means), items, pairs):.3f}")
    print(f"  mean of items  {hit_ratio(means, items, pairs):.3f}")
    print(f"  popularity     {hit_ratio(np.ones((len(users), 1)), counts, pairs):.3f}")
    print(f"  chance         {np.mean([K / (1 + len(n)) for *_, n in pairs]):.3f}")

    lengths = [np.linalg.norm(f.vectors[f.present], axis=1).mean() for f in features]
    content = np.hstack([f.vectors / n for f, n in zip(features, lengths, strict=True)])
    to_item = RidgeCV(np.logspace(-4, 4, 9)).fit(content[old_items], of_old_items)
    items[new_items] = to_item.predict(content[new_items])
    ranked = candidates.filter((pl.col("part") == "test") & ~is_new_user & is_new_item)
    targets = ranked.select("user", "item").rows()
    among_new = [(u, t, new_items[~has[u, new_items]]) for u, t in targets]
    print(f"{len(targets)} pairs with a new item, among the other new items, HR@{K}")
    print(f"  knew them      {hit_ratio(all_users, all_items, among_new):.3f}")
    print(f"  from content   {hit_ratio(users, items, among_new):.3f}")
    print(f"  chance         {np.mean([K / (1 + len(n)) for *_, n in among_new]):.3f}")
    among_all = [(u, t, n) for (u, t), n in zip(targets, ranked["negatives"], strict=True)]
    among_all = [(u, t, np.array(n)) for u, t, n in among_all]
    print(f"the same pairs among 99 items, most of them known, HR@{K}")
    print(f"  knew them      {hit_ratio(all_users, all_items, among_all):.3f}")
    print(f"  from content   {hit_ratio(users, items, among_all):.3f}")


if __name__ == "__main__":
    main()
