"""A benchmark from the files of a dataset to its table; the text of the table."""

from pathlib import Path

import pytest
import yaml
from test_published_benchmark import FOLDERS, benchmark, download_to_features  # noqa: F401

from pipeline import params
from pipeline.comparison import published_numbers
from pipeline.experiments.benchmark import markdown, table
from pipeline.experiments.study import cell as study_cell
from pipeline.job.errors import ParamsError, SchemaError
from pipeline.params import benchmark as benchmark_params
from pipeline.tables.io import read_json

SEEDS = [1, 2]
SECTION = {
    "models": ["popularity", "bprmf", "vbpr"],
    "seeds": SEEDS,
    "budget": {"epochs": 2, "evaluate_every": 1, "patience": 2},
    "published": {"toy": "lfm2k"},
}
HEAD = "s\th:m:s\tmax_rss\tcpu_time\n"


def declare(raw, **changes):
    raw["evaluate"]["datasets"]["toy"] |= {"k": [10, 20], "mask": "train"}
    raw["train"]["datasets"]["toy"] |= {"refit": False, "select_by": "full recall@20"}
    raw |= {"tables": {}, "study": {}, "benchmark": SECTION | changes}
    Path("params.yaml").write_text(yaml.safe_dump(raw))
    return params.load().of("toy")


def test_it_runs_from_the_datasets_files_to_its_table(benchmark):  # noqa: F811
    settings = declare(benchmark)
    download_to_features()
    cells = benchmark_params.cells(settings, "toy")
    assert len(cells) == 1 + 2  # vbpr reads pictures
    for name in cells:
        out = f"results/study/{name}"
        study_cell.main(["toy", name, *FOLDERS, out, "--threads", "1"])
    Path("times").mkdir()
    for seconds, seed in zip((60, 180), SEEDS, strict=True):
        path = Path(f"times/bprmf__budget-benchmark__seed-{seed}.tsv")
        path.write_text(f"{HEAD}{seconds}\t-\t1\t1\n")

    table.main(["toy", *FOLDERS, "times", "results"])

    found, text = read_json(Path("results/benchmark.json")), Path("results/benchmark.md")
    rows = {row["model"]: row for row in found["rows"]}
    metrics = [
        read_json(Path(f"results/study/{c}/metrics.json")) for c in rows["bprmf"]["cells"]
    ]
    recalls = [content["full"]["recall@20"] for content in metrics]
    ours = rows["bprmf"]["ours"]["full recall@20"]
    assert (ours["seeds"], ours["mean"]) == (recalls, pytest.approx(sum(recalls) / 2))
    assert rows["bprmf"]["percent"]["full recall@20"] == pytest.approx(
        100 * (sum(recalls) / 2 / 0.3598 - 1)
    )
    assert rows["bprmf"]["minutes"] == [1, 3]
    assert [content["budget"]["epochs"] for content in metrics] == [2, 2]
    assert found["mask"] == "train"
    assert not rows["freedom"]["ours"]
    _check_text(text.read_text(), ours, rows["bprmf"]["epochs"])


def _check_text(text, ours, epochs):
    lines = text.splitlines()
    (line,) = [line for line in lines if line.startswith("| bprmf |")]
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[1:4] == ["BPR [1]", f"{ours['mean']:.4f} ± {ours['sd']:.4f}", "0.3598"]
    assert cells[-2:] == [", ".join(map(str, epochs)), "2.0"]
    assert "| – | FREEDOM [1] | – | 0.3454 | – | – | 0.2352 | – | – | – |" in lines
    (line,) = [line for line in lines if line.startswith("| popularity |")]
    assert " ± " not in line
    assert "\n20 users, 30 items, 173 interactions. " in text
    assert "as labelled in the file: means over" in text
    assert "`vbpr` is left out: it reads visual, which toy does not have all of." in text
    assert "Not the same data: Last.fm-2K" in text
    assert "hides a user's items of train: the same." in text
    assert "validation recall@20 (full), trained on train." in text
    assert "Seeds of the training: 1, 2." in text


def content(recall=0.3, **changes):
    """Return a metrics.json and what is not of a run."""
    budget = {"epochs": 60, "evaluate_every": 5, "patience": 10, "batch_size": 2048}
    own = {"epoch": 10, "settings": {}, "budget": budget, "optimistic": False, "n_users": 9}
    own |= {"selected_on": "validation recall@20 (full)", "trained_on": "train"}
    own["sampled"] = {"candidates": 100}
    own["full"] = {"candidates": 50, "mask": "train_validation"}
    own["full"] |= {f"{m}@{k}": recall for m in ("recall", "ndcg") for k in (10, 20)}
    return own | changes


def gathered(*contents, **section):
    raw = yaml.safe_load(Path("params.yaml").read_text())
    raw |= {"datasets": ["lfm2k"], "study": {}, "tables": {}}
    raw["benchmark"] = {"models": ["bprmf", "mcln"], "seeds": [1]} | section
    settings = params.parse(raw).of("lfm2k")
    names = benchmark_params.cells(settings, "lfm2k")
    metrics = dict(zip(names, contents, strict=True))
    counts = {"users": 1858, "items": 1425, "interactions": 56345}
    return table.gathered(
        settings, "lfm2k", metrics, dict.fromkeys(names), counts, {}
    )  # fmt: skip


def test_a_model_without_published_numbers_has_dashes_and_differences_are_said():
    text = markdown.page(gathered(content(), content(0.4), published={"lfm2k": "lfm2k"}))

    assert "| mcln | – | 0.4000 | – | – | 0.4000 | – | – | 10 | – |" in text
    assert "| bprmf | BPR [1] | 0.3000 | 0.3598 | -16.6 % | 0.3000 | 0.2462 |" in text
    assert "The counts are those of Last.fm-2K" in text
    assert "items of train and validation: not the same." in text
    assert "not printed anywhere" in text
    assert "under-trained" not in text
    late = markdown.page(gathered(content(epoch=60), content(), published={"lfm2k": "lfm2k"}))
    assert "Best at the last epoch allowed, 60, so under-trained: `bprmf`." in late


def test_without_a_link_the_table_has_our_numbers_alone():
    text = markdown.page(gathered(content(), content(0.4)))

    assert "No published numbers are linked with this dataset" in text
    assert "| mcln | – | 0.4000 | – | – |" in text
    assert "FREEDOM" not in text


def test_trainings_of_different_budgets_are_refused():
    with pytest.raises(SchemaError, match="expected trainings with the same trained_on"):
        gathered(content(), content(trained_on="train and validation"))


def test_an_unknown_name_of_published_numbers_is_refused(benchmark):  # noqa: F811
    declare(benchmark, published={"toy": "lfm"})

    with pytest.raises(ParamsError, match=r"benchmark\.published\.toy: expected .*got 'lfm'"):
        published_numbers.linked(params.load().of("toy"), "toy")


def test_the_papers_splits_are_linked_with_the_papers_tables():
    published = published_numbers.PUBLISHED["paper_beauty"]

    assert published.rows["mcln"] == (0, (0.5636, 0.4368, 0.6689, 0.4710))
    assert published.metrics[0] == "sampled hr@5"
