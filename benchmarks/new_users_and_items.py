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
PENALTIES = np.logspace(-4, 4, 9)  # of the ridge regressions


Ranked = list[tuple[int, int, np.ndarray]]  # user, target, negatives


class LeftOut:
    """The dataset, the evaluated model, and a model trained without some users and items."""

    def __init__(self, name: str, folder: Path) -> None:
        """Read the tables, draw who is new, and train without them."""
        self.name, self.settings = name, params.load().of("sample")
        self.data = Dataset(folder / "data/processed/sample")
        self.features_folder = folder / "data/features/sample"
        results = folder / f"results/sample/{name}"
        arguments = Arguments(
            "sample", name, self.data.folder, self.features_folder, results, "cpu"
        )
        with torch.inference_mode():
            model, facts = restored(self.settings, arguments, self.data)
            self.all_users, self.all_items = (rows.numpy() for rows in vectors(model, name))
        self.modalities = list(self.settings.dataset_features("sample"))
        files = [self.features_folder / f"{name}.parquet" for name in self.modalities]
        self.features = [load_features(file) for file in files]
        generator = np.random.default_rng(SEED)
        self.new_users, self.new_items = (
            generator.permutation(n)[: int(SHARE * n)]
            for n in (self.data.n_users, self.data.n_items)
        )
        self.old_items = np.setdiff1d(np.arange(self.data.n_items), self.new_items)
        self.known = pl.concat([self.data.train, self.data.validation])
        self.is_new_user = pl.col("user").is_in(self.new_users)
        self.is_new_item = pl.col("item").is_in(self.new_items)
        self.rows = self.known.filter(~self.is_new_user & ~self.is_new_item)
        self.users, self.of_old_items = self._trained(facts["epoch"])

    def _trained(self, epochs: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the vectors of all users and of the old items."""
        number = np.zeros(self.data.n_items, int)
        number[self.old_items] = np.arange(len(self.old_items))
        pairs = zip(self.modalities, self.features, strict=True)
        trained = train(
            self.settings.architecture(self.name),
            self.rows["user"].to_numpy(),
            number[self.rows["item"].to_numpy()],
            {modality: f.vectors[self.old_items] for modality, f in pairs},
            epochs=epochs,
            n_users=self.data.n_users,
            n_items=len(self.old_items),
            batch_size=self.settings.train.batch_size,
            device="cpu",
            **self.settings.model(self.name, "sample").model_dump(),
        )
        with torch.inference_mode():
            users, items = (rows.numpy() for rows in vectors(trained.model, self.name))
        return users, items

    def test_rows(self, of: pl.Expr) -> pl.DataFrame:
        """Return the test candidates of some users and items."""
        candidates = pl.read_parquet(self.data.folder / "candidates.parquet")
        rows = candidates.filter((pl.col("part") == "test") & of)
        return rows.select("user", "item", "negatives")

    def met(self) -> np.ndarray:
        """Return which users have which items, in any part, (U, I)."""
        test = pl.read_parquet(self.data.folder / "test.parquet").select("user", "item")
        has = np.zeros((self.data.n_users, self.data.n_items), bool)
        has[tuple(pl.concat([self.known, test]).to_numpy().T)] = True
        return has


def hit_ratio(users: np.ndarray, items: np.ndarray, rows: Ranked) -> float:
    """Return HR@K of the rows, ties against the target."""
    ranks = [(items[n] @ users[u] >= items[t] @ users[u]).sum() for u, t, n in rows]
    return float((np.array(ranks) < K).mean())


def by_chance(rows: Ranked) -> float:
    """Return the HR@K of a random order."""
    return float(np.mean([K / (1 + len(negatives)) for *_, negatives in rows]))


def new_users(of: LeftOut) -> None:
    """Print how users are ranked for whom the model has no vector."""
    ranked = of.test_rows(of.is_new_user & ~of.is_new_item)
    pairs = [(u, t, np.setdiff1d(n, of.new_items)) for u, t, n in ranked.iter_rows()]
    items = np.zeros((of.data.n_items, of.of_old_items.shape[1]), np.float32)
    items[of.old_items] = of.of_old_items
    means = np.zeros_like(of.users)
    chosen_by = of.known.filter(~of.is_new_item).group_by("user").agg("item")
    for user, chosen in chosen_by.iter_rows():
        means[user] = items[chosen].mean(0)
    old_users = np.unique(of.rows["user"].to_numpy())
    to_user = RidgeCV(PENALTIES).fit(means[old_users], of.users[old_users])
    counts = np.bincount(of.rows["item"].to_numpy(), minlength=of.data.n_items)[:, None]
    print(f"{of.name}: {len(pairs)} new users, the target among about 80 known items, HR@{K}")
    print(f"  knew them      {hit_ratio(of.all_users, of.all_items, pairs):.3f}")
    print(f"  from items     {hit_ratio(to_user.predict(means), items, pairs):.3f}")
    print(f"  mean of items  {hit_ratio(means, items, pairs):.3f}")
    print(f"  popularity     {hit_ratio(np.ones((len(means), 1)), counts, pairs):.3f}")
    print(f"  chance         {by_chance(pairs):.3f}")


def new_items(of: LeftOut) -> None:
    """Print how items are ranked for which the model has no vector."""
    lengths = [np.linalg.norm(f.vectors[f.present], axis=1).mean() for f in of.features]
    content = np.hstack([f.vectors / n for f, n in zip(of.features, lengths, strict=True)])
    to_item = RidgeCV(PENALTIES).fit(content[of.old_items], of.of_old_items)
    items = np.zeros((of.data.n_items, of.of_old_items.shape[1]), np.float32)
    items[of.old_items] = of.of_old_items
    items[of.new_items] = to_item.predict(content[of.new_items])
    ranked, has = of.test_rows(~of.is_new_user & of.is_new_item), of.met()
    among_all = [(u, t, np.array(n)) for u, t, n in ranked.iter_rows()]
    among_new = [(u, t, of.new_items[~has[u, of.new_items]]) for u, t, _ in among_all]
    print(f"{len(among_new)} pairs with a new item, among the other new items, HR@{K}")
    print(f"  knew them      {hit_ratio(of.all_users, of.all_items, among_new):.3f}")
    print(f"  from content   {hit_ratio(of.users, items, among_new):.3f}")
    print(f"  chance         {by_chance(among_new):.3f}")
    print(f"the same pairs among 99 items, most of them known, HR@{K}")
    print(f"  knew them      {hit_ratio(of.all_users, of.all_items, among_all):.3f}")
    print(f"  from content   {hit_ratio(of.users, items, among_all):.3f}")


def main() -> None:
    """Train without the new, and print both tables."""
    name = sys.argv[1] if len(sys.argv) > 1 else "mcln"
    left_out = LeftOut(name, Path(sys.argv[2] if len(sys.argv) > 2 else "."))
    new_users(left_out)
    new_items(left_out)


if __name__ == "__main__":
    main()
