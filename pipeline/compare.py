r"""Stage `compare`: the models of a dataset side by side, in a table and a report.

    data/processed/D, data/images/D.parquet, results/D/M/*
        -> results/D/{comparison.json,comparison.md,report.html}

Every number says its protocol: sampled (the target among 100 candidates) or full (among all
items that the user has not). Differences from the best model are tested over users
(Wilcoxon signed-rank on NDCG@10, Holm's correction over the comparisons).

    python -m pipeline.compare sample data/processed/sample data/images/sample.parquet \
        results/sample
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.stats import wilcoxon

from pipeline import params, report
from pipeline.command import parser, run
from pipeline.io import read_json, read_parquet, write_json, write_text
from pipeline.schema import (
    COMPARISON_JSON,
    COMPARISON_MD,
    HISTORY,
    HISTORY_FILE,
    METRICS_FILE,
    RANKS,
    RANKS_FILE,
    RECOMMENDATIONS,
    RECOMMENDATIONS_FILE,
    REPORT_FILE,
    STATISTICS_FILE,
    USER,
)

CUTOFF = 10  # of the NDCG that is tested and that names the best model
# HR@5, NDCG@5, HR@10, NDCG@10 as printed in Tables 2 and 3 of the paper, sampled; Table 3 has
# the first two only.
Printed = dict[str, tuple[float, ...]]
PAPER: dict[str, Printed] = {
    "amazon-beauty": {
        "bprmf": (0.4274, 0.3343, 0.5173, 0.3634),
        "lightgcn": (0.5229, 0.3909, 0.6385, 0.4285),
        "mcln": (0.5636, 0.4368, 0.6689, 0.4710),
        "base": (0.5293, 0.4069),
        "base_vt": (0.5492, 0.4230),
    },
    "Art": {
        "bprmf": (0.6333, 0.5597, 0.7052, 0.5829),
        "lightgcn": (0.6938, 0.5996, 0.7710, 0.6246),
        "mcln": (0.7168, 0.6123, 0.7973, 0.6384),
        "base": (0.7016, 0.5932),
        "base_vt": (0.7110, 0.6055),
    },
    "taobao": {
        "bprmf": (0.3215, 0.2465, 0.4049, 0.2733),
        "lightgcn": (0.3886, 0.2896, 0.4961, 0.3243),
        "mcln": (0.4067, 0.3060, 0.5105, 0.3393),
        "base": (0.3933, 0.2950),
    },
}


def comparison(
    metrics: dict[str, dict[str, Any]], ranks: dict[str, pl.DataFrame], printed: Printed
) -> dict[str, Any]:
    """Put the models side by side and test each against the best.

    Args:
        metrics: `{model: metrics.json}`.
        ranks: `{model: schema.RANKS}`, the same users in each.
        printed: the paper's numbers for this dataset, where it is one of the paper's.

    Returns:
        The content of comparison.json. `p_value` is Holm-corrected; None for the best model
        and where no user differs.
    """
    best = max(metrics, key=lambda name: float(metrics[name]["sampled"][f"ndcg@{CUTOFF}"]))
    gains = {name: _gains(table) for name, table in ranks.items()}
    others = [name for name in metrics if name != best]
    p_values = dict(zip(others, holm([_p(gains[best], gains[o]) for o in others]), strict=True))
    first = metrics[best]
    return {
        "dataset": first["dataset"],
        "protocol": {
            "sampled": f"1 target among {first['sampled']['candidates']} candidates, "
            "99 fixed negatives",
            "full": f"1 target among {first['full']['candidates']} items, without the user's",
        },
        "best": best,
        "test": f"Wilcoxon signed-rank over users on sampled NDCG@{CUTOFF}, Holm-corrected",
        "models": {
            name: table
            | {"p_value": p_values.get(name), "printed_in_the_paper": printed.get(name)}
            for name, table in metrics.items()
        },
    }


def holm(p_values: list[float | None]) -> list[float | None]:
    """Return Holm's step-down correction of p values; None stays None.

    Source: Holm 1979, "A simple sequentially rejective multiple test procedure".
    """
    order = sorted((p, place) for place, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for step, (p, place) in enumerate(order):
        largest = max(largest, min(1.0, p * (len(order) - step)))
        corrected[place] = largest
    return corrected


def markdown(table: dict[str, Any]) -> str:
    """Return comparison.md."""
    models = table["models"]
    printed = any(m["printed_in_the_paper"] for m in models.values())
    head = ["model", "HR@5", "NDCG@5", "HR@10", "NDCG@10", "full HR@10", "full NDCG@10", "p"]
    head += ["paper HR@5", "paper NDCG@5"] if printed else []
    lines = [
        f"# {table['dataset']}",
        "",
        _row(head),
        _row(["---"] + ["---:"] * (len(head) - 1)),
    ]
    for name, model in models.items():
        lines.append(_row(_cells(name, model, models, printed)))
    caption = [
        "",
        f"HR and NDCG without a prefix: {table['protocol']['sampled']}. "
        f"Full: {table['protocol']['full']}. Ties count against the target.",
        f"p: {table['test']}, against {table['best']}.",
        *(_how(name, model) for name, model in models.items()),
    ]
    return "\n".join([*lines, *caption]) + "\n"


def _how(name: str, model: dict[str, Any]) -> str:
    """Say how a model was chosen; a choice on test is called optimistic."""
    refit = ", then trained again on train and validation" if model["refit"] else ""
    warning = " (*optimistic*: chosen on the test set)" if model["optimistic"] else ""
    return (
        f"- {name}: epoch {model['epoch']} by {model['selected_on']}{refit}, seed "
        f"{', '.join(map(str, model['seeds']))}, {model['n_users']} users{warning}"
    )


def _cells(
    name: str, model: dict[str, Any], models: dict[str, dict[str, Any]], printed: bool
) -> list[str]:
    cells = [name + (" (*optimistic*)" if model["optimistic"] else "")]
    columns = [("sampled", key) for key in ("hr@5", "ndcg@5", "hr@10", "ndcg@10")]
    for part, key in [*columns, ("full", "hr@10"), ("full", "ndcg@10")]:
        value = model[part].get(key)
        top = max(m[part].get(key, 0.0) for m in models.values())
        text = "" if value is None else f"{value:.4f}"
        cells.append(f"**{text}**" if value == top else text)
    cells.append("" if model["p_value"] is None else f"{model['p_value']:.2g}")
    if printed:
        numbers = model["printed_in_the_paper"] or ()
        cells += [f"{n:.4f}" for n in numbers[:2]] or ["", ""]
    return cells


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _gains(ranks: pl.DataFrame) -> npt.NDArray[np.float64]:
    """Return each user's NDCG@10, (U,), in the order of the users."""
    rank = ranks.sort(USER)["rank_sampled"].to_numpy()
    return np.where(rank < CUTOFF, 1.0 / np.log2(rank + 2.0), 0.0)


def _p(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> float | None:
    difference = one - other
    if not difference.any():
        return None
    return float(wilcoxon(difference, method="asymptotic").pvalue)


def main(argv: list[str] | None = None) -> None:
    """Read, compare, write."""
    arguments = parser("compare", __doc__)
    arguments.add_argument("dataset", help="a name under `sources` in params.yaml")
    arguments.add_argument("processed", type=Path, help="folder of the processed tables")
    arguments.add_argument("images", type=Path, help="Parquet file of the pictures")
    arguments.add_argument("results", type=Path, help="folder that holds a folder per model")
    args = arguments.parse_args(argv)
    settings = params.load()
    folders = {model: args.results / model for model in settings.models}
    source = settings.source(args.dataset)
    printed = PAPER.get(source.folder, {}) if source.format == "published_split" else {}
    metrics = {name: read_json(folder / METRICS_FILE) for name, folder in folders.items()}
    ranks = {name: read_parquet(f / RANKS_FILE, RANKS) for name, f in folders.items()}
    table = comparison(metrics, ranks, printed)
    page = report.page(
        table,
        read_json(args.processed / STATISTICS_FILE),
        {name: read_parquet(f / HISTORY_FILE, HISTORY) for name, f in folders.items()},
        ranks,
        report.Gallery.read(
            args.processed,
            args.images,
            {
                name: read_parquet(f / RECOMMENDATIONS_FILE, RECOMMENDATIONS)
                for name, f in folders.items()
            },
            n_users=settings.compare.users,
            k=settings.compare.k,
        ),
        {m: f.model_dump() for m, f in settings.dataset_features(args.dataset).items()},
    )
    write_json(table, args.results / COMPARISON_JSON)
    write_text(markdown(table), args.results / COMPARISON_MD)
    write_text(page, args.results / REPORT_FILE)


if __name__ == "__main__":
    run(main)
