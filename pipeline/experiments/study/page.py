r"""Stage `study_page`: the study as one page, and the same as Markdown with its figures.

    results/D/study/{tables,significance,slices,explanations}.json, examples.parquet,
    CELL/{history,ranks}, data/processed/D, data/images/D [, results/D/study.{json,svg}]
        -> results/D/study/{report.html,report.md}, figures/NAME.{svg,png}

The page has no script and asks for nothing. The same inputs give the same bytes, so how long a
training took is not on it: see the stage `study_times`.

`--factors` adds the study of what moves a score, on generated datasets. `--more FILE` adds
sections that another stage wrote, as a list of sections.section.Part in JSON; they stand behind
the tables, in the order given.

    python -m pipeline.experiments.study.page sample data/processed/sample \
        data/images/sample.parquet results/sample/study --factors results/sample
"""

from __future__ import annotations

import logging
from argparse import Namespace
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl
from matplotlib.figure import Figure

from pipeline import params
from pipeline.comparison import report
from pipeline.experiments.study.sections import certainty as study_sure
from pipeline.experiments.study.sections import differences as study_differences
from pipeline.experiments.study.sections import explanations as study_explained
from pipeline.experiments.study.sections import figures as study_figures
from pipeline.experiments.study.sections import markdown
from pipeline.experiments.study.sections import user_parts as study_slices
from pipeline.experiments.study.sections.factors import part as factors_part
from pipeline.experiments.study.sections.numbers import parts as shown_parts
from pipeline.experiments.study.sections.opening import cards, lead, warnings
from pipeline.experiments.study.sections.section import Part, read_parts
from pipeline.job.command_line import parser, run
from pipeline.pages import template
from pipeline.pages.files import (
    EXAMPLES_FILE,
    EXPLANATIONS_FILE,
    REPORT_FILE,
    SIGNIFICANCE_JSON,
    SLICES_JSON,
    STUDY_JSON,
    STUDY_SVG,
    TABLES_JSON,
)
from pipeline.params import study_cells
from pipeline.tables import io
from pipeline.tables import schema as s
from pipeline.tables.pictures import read_pictures

log = logging.getLogger("study_page")
LEARNING, CUTOFFS, FACTORS = "learning", "cutoffs", "factors"
PAGE_MD, FIGURES_FOLDER = "report.md", "figures"  # beside a folder per cell


def figures(found: Mapping[str, Any], results: Path) -> dict[str, Figure]:
    """Return the grids' figures, and the curves of the first table's models.

    Args:
        found: content of tables.json.
        results: folder of the cells.
    """
    grids = {
        name: study_figures.grid(table["rows"])
        for name, table in _tables(found)
        if any(row["values"] for row in table["rows"])
    }
    rows = [row for row in found["tables"][found["order"][0]]["rows"] if not row["same_as"]]
    histories, ranks = {}, {}
    for row in rows:
        folders = [results / cell for cell in row["cells"]]
        histories[row["label"]] = io.read_parquet(folders[0] / s.HISTORY_FILE, s.HISTORY)
        every = [io.read_parquet(folder / s.RANKS_FILE, s.RANKS) for folder in folders]
        ranks[row["label"]] = pl.concat(every)
    curves = {
        LEARNING: study_figures.learning(histories),
        CUTOFFS: study_figures.cutoffs(ranks),
    }
    return grids | curves


def _tables(found: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield tables.json's tables in the order of params.yaml; the file sorts its keys."""
    yield from ((name, found["tables"][name]) for name in found["order"])


def labels(found: Mapping[str, Any], names: Mapping[str, Any]) -> dict[str, str]:
    """Return what each figure shows, in a sentence."""
    seeds = found["budget"]["seeds"]
    bars = "; bars are a standard deviation over the seeds" if len(seeds) > 1 else ""
    said = {
        LEARNING: f"While the epoch was chosen, seed {seeds[0]}. A loss is divided by "
        "the first that is shown: models sum or average differently.",
        CUTOFFS: "Share of users whose held-out item is among the first k, all seeds.",
        FACTORS: "What a change of one factor does to a score, and how much of it goes back to "
        "what people do not choose by.",
    }
    return {
        name: said.get(name, f"HR@5 and NDCG@5 (sampled) by setting{bars}.") for name in names
    }


def curves(found: Mapping[str, Any]) -> Part:
    """Return the section of the curves."""
    table = found["order"][0]
    return Part(
        name="curves",
        title="Curves",
        text=[f"The models of {table}: validation while they learn, and hits on test."],
        figures=[LEARNING, CUTOFFS],
    )


def material(
    settings: params.Params, args: Namespace, found: Mapping[str, Any]
) -> report.Material:
    """Return what the gallery of users is made of: see pipeline/comparison/report.py."""
    cells = study_cells.shown(settings, args.dataset)
    lists = io.read_parquet(args.results / EXAMPLES_FILE, s.EXAMPLES)
    files = {s.TRAIN: s.TRAIN_FILE, s.VALIDATION: s.VALIDATION_FILE, s.TEST: s.TEST_FILE}
    return report.Material(
        settings=settings,
        dataset=args.dataset,
        statistics=dict(found["data"]["ours"]),
        items=io.read_parquet(args.processed / s.ITEMS_FILE, s.ITEMS),
        users=io.read_parquet(args.processed / s.USERS_FILE, s.USERS),
        parts={
            n: io.read_parquet(args.processed / f, s.INTERACTIONS) for n, f in files.items()
        },
        ranks={
            m: io.read_parquet(args.results / c.name / s.RANKS_FILE, s.RANKS)
            for m, c in cells.items()
        },
        histories={},
        lists={m: lists.filter(pl.col(s.MODEL) == m).drop(s.MODEL) for m in cells},
    )


def render(drawn: Mapping[str, str], people: report.People, context: dict[str, Any]) -> str:
    """Return the page.

    Args:
        drawn: the figures as SVG.
        people: report.gallery; may be empty.
        context: everything else that the template names.
    """
    said = context["labels_of"]
    drawings = {n: study_figures.themed(text, n, said[n]) for n, text in drawn.items()}
    return template.render(
        "study", drawings=drawings, people=people, latest=report.SHOWN_TRAIN, **context
    )


def _arguments(argv: list[str] | None) -> Namespace:
    parse = parser(__doc__, "dataset", "processed", "images", "results")
    parse.add_argument("--factors", type=Path, help="folder with study.json and study.svg")
    parse.add_argument(
        "--more", type=Path, nargs="*", default=[], help="JSON files of further sections"
    )
    return parse.parse_args(argv)


def sections(args: Namespace, found: Mapping[str, Any], drawings: dict[str, str]) -> list[Part]:
    """Return the page's sections but for the last, and add the factors' figure to `drawings`.

    Args:
        args: the command line.
        found: content of tables.json.
        drawings: the figures as SVG, by name.
    """
    first = found["tables"][found["order"][0]]
    order = [row["label"] for row in first["rows"] if row["same_as"] is None]
    parts = [
        *shown_parts(found),
        curves(found),
        study_sure.part(io.read_json(args.results / SIGNIFICANCE_JSON), order),
        study_slices.part(io.read_json(args.results / SLICES_JSON), order),
    ]
    if args.factors:
        parts.append(factors_part(io.read_json(args.factors / STUDY_JSON)))
        drawings[FACTORS] = (args.factors / STUDY_SVG).read_text(encoding="utf-8")
    parts.append(study_explained.part(io.read_json(args.results / EXPLANATIONS_FILE)))
    return parts + [part for path in args.more for part in read_parts(path)]


def main(argv: list[str] | None = None) -> None:
    """Read, draw, write."""
    args, settings = _arguments(argv), params.load()
    found = io.read_json(args.results / TABLES_JSON)
    drawings = {
        name: study_figures.write(picture, args.results / FIGURES_FOLDER, name)
        for name, picture in figures(found, args.results).items()
    }
    parts, last = sections(args, found, drawings), study_differences.part(settings, found)
    said = labels(found, drawings)
    title = f"{args.dataset}: the study of the paper"
    whole = material(settings, args, found)
    people = report.gallery(whole)
    shown = report.items_shown(people)
    pictures = read_pictures(args.images, shown)
    made = {item: report.thumbnail(pictures[item]) for item in sorted(pictures)}
    context = {
        "title": title,
        "lead": lead(found),
        "warnings": warnings(settings, found),
        "cards": cards(found),
        "parts": parts,
        "last": last,
        "labels_of": said,
        "labels": report.labels(whole.items, shown),
        "thumbnails": {item: code for item, code in made.items() if code},
        "seed": found["budget"]["seeds"][0],
    }
    io.write_text(render(drawings, people, context), args.results / REPORT_FILE)
    text = markdown.document(
        title, [*lead(found), *warnings(settings, found)], [*parts, last], said
    )
    io.write_text(text, args.results / PAGE_MD)


if __name__ == "__main__":
    run(main)
