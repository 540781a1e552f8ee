r"""Rule `study_page`: the study as one page, and the same as Markdown with its figures.

    results/D/study/{tables,significance,slices,explanations}.json, examples.parquet,
    CELL/{history,ranks}, data/processed/D, data/images/D [, results/D/factors.{json,svg}]
        -> results/D/study/{report.html,report.md}, figures/NAME.{svg,png}

The page has no script and loads nothing. The same inputs give the same bytes, so how long a
training took is not on it: see the rule `study_times`.

`--factors` adds what moves a score, on generated datasets. `--more FILE` adds sections that
another program wrote, as a list of sections.section.Part in JSON, after the tables.

    python -m pipeline.experiments.study.page sample data/processed/sample \
        data/images/sample.parquet results/sample/study --factors results/sample
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
from matplotlib.figure import Figure

from pipeline import params
from pipeline.comparison.user_metrics import SAMPLED
from pipeline.experiments.study.sections import (
    certainty,
    differences,
    explanations,
    factors,
    figures,
    markdown,
    numbers,
    opening,
    user_parts,
)
from pipeline.experiments.study.sections.section import Part, read_parts
from pipeline.job.command_line import parser, run
from pipeline.pages import file_names, gallery, template
from pipeline.params import study
from pipeline.tables import io
from pipeline.tables import schema as s

LEARNING, CUTOFFS, FACTORS = "learning", "cutoffs", "factors"


def drawn(tables: Mapping[str, Any], results: Path) -> dict[str, Figure]:
    """Return the grids' figures, and the curves of the first table's models."""
    grids = {
        name: figures.grid(tables["tables"][name]["rows"])
        for name in tables["order"]  # that of params.yaml; the file sorts its keys
        if any(row["values"] for row in tables["tables"][name]["rows"])
    }
    histories, ranks = {}, {}
    for row in first_table(tables):
        folders = [results / cell for cell in row["cells"]]
        histories[row["label"]] = io.read_parquet(folders[0] / s.HISTORY_FILE, s.HISTORY)
        of_seeds = [io.read_parquet(folder / s.RANKS_FILE, s.RANKS) for folder in folders]
        ranks[row["label"]] = pl.concat(of_seeds)
    return grids | {
        LEARNING: figures.learning(histories, tables["selected_on"]),
        CUTOFFS: figures.cutoffs(ranks),
    }


def first_table(tables: Mapping[str, Any]) -> list[Any]:
    """Return the first table's rows that are not another row's training."""
    rows = tables["tables"][tables["order"][0]]["rows"]
    return [row for row in rows if row["same_as"] is None]


def labels(tables: Mapping[str, Any], names: Mapping[str, Any]) -> dict[str, str]:
    """Return what each figure shows, in a sentence."""
    seeds = tables["budget"]["seeds"]
    bars = "; bars are a standard deviation over the seeds" if len(seeds) > 1 else ""
    texts = {
        LEARNING: f"While the epoch was chosen, seed {seeds[0]}. A loss is divided by "
        "the first that is shown: models sum or average differently.",
        CUTOFFS: "Share of users who have a held-out item among the first k, all seeds.",
        FACTORS: "What a change of one factor does to a score, and how much of it goes back to "
        "what people do not choose by.",
    }
    return {
        name: texts.get(name, f"HR@5 and NDCG@5 (sampled) by setting{bars}.") for name in names
    }


def curves(tables: Mapping[str, Any]) -> Part:
    """Return the section of the curves."""
    table = tables["order"][0]
    return Part(
        name="curves",
        title="Curves",
        text=[f"The models of {table}: validation while they learn, and hits on test."],
        figures=[LEARNING, CUTOFFS],
    )


def material(
    settings: params.Params, args: Namespace, tables: Mapping[str, Any]
) -> gallery.Material:
    """Return what the gallery of users is made of: see pipeline/pages/gallery.py."""
    cells = study.shown(settings, args.dataset)
    lists = io.read_parquet(args.results / file_names.EXAMPLES_FILE, s.EXAMPLES)
    files = {s.TRAIN: s.TRAIN_FILE, s.VALIDATION: s.VALIDATION_FILE, s.TEST: s.TEST_FILE}
    return gallery.Material(
        settings=settings,
        dataset=args.dataset,
        statistics=dict(tables["data"]["ours"]),
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


def render(svgs: Mapping[str, str], users: Mapping[str, Any], context: dict[str, Any]) -> str:
    """Return the page."""
    texts = context["labels_of"]
    drawings = {name: figures.themed(svg, name, texts[name]) for name, svg in svgs.items()}
    return template.render(
        "study", drawings=drawings, latest=gallery.SHOWN_TRAIN, **users, **context
    )


def example_users(whole: gallery.Material, images: Path) -> dict[str, Any]:
    """Return the example users, with titles and thumbnails of the items that they show."""
    people = gallery.gallery(whole)
    shown = gallery.items_shown(people)
    return {
        "people": people,
        "labels": gallery.labels(whole.items, shown),
        "thumbnails": gallery.thumbnails(gallery.pictures(whole, images, shown)),
    }


def _arguments(argv: list[str] | None) -> Namespace:
    parse = parser(__doc__, "dataset", "processed", "images", "results")
    parse.add_argument("--factors", type=Path, help="folder with factors.json and factors.svg")
    parse.add_argument(
        "--more", type=Path, nargs="*", default=[], help="JSON files of further sections"
    )
    return parse.parse_args(argv)


def sections(args: Namespace, tables: Mapping[str, Any], svgs: dict[str, str]) -> list[Part]:
    """Return the page's sections but for the last, and add the factors' figure to `svgs`."""
    order = [row["label"] for row in first_table(tables)]
    parts = [
        *numbers.parts(tables),
        curves(tables),
        certainty.part(
            io.read_json(args.results / file_names.SIGNIFICANCE_JSON),
            order,
            tables["candidates"][SAMPLED] - 1,
            tables["compared"],
        ),
        user_parts.part(
            io.read_json(args.results / file_names.SLICES_JSON), order, tables["compared"]
        ),
    ]
    if args.factors:
        parts.append(factors.part(io.read_json(args.factors / file_names.FACTORS_JSON)))
        svgs[FACTORS] = (args.factors / file_names.FACTORS_SVG).read_text(encoding="utf-8")
    parts.append(explanations.part(io.read_json(args.results / file_names.EXPLANATIONS_FILE)))
    return parts + [part for path in args.more for part in read_parts(path)]


def main(argv: list[str] | None = None) -> None:
    """Read, draw, write."""
    args = _arguments(argv)
    settings = params.load().of(args.dataset)
    tables = io.read_json(args.results / file_names.TABLES_JSON)
    svgs = {
        name: figures.write(figure, args.results / file_names.FIGURES_FOLDER, name)
        for name, figure in drawn(tables, args.results).items()
    }
    parts, last = sections(args, tables, svgs), differences.part(settings, tables)
    title, texts = f"{args.dataset}: the study of the paper", labels(tables, svgs)
    lead, warnings = opening.lead(tables), opening.warnings(settings, tables)
    context = {
        "title": title,
        "lead": lead,
        "warnings": warnings,
        "cards": opening.cards(tables),
        "parts": parts,
        "last": last,
        "labels_of": texts,
        "seed": tables["budget"]["seeds"][0],
    }
    gallery = example_users(material(settings, args, tables), args.images)
    io.write_text(render(svgs, gallery, context), args.results / file_names.REPORT_FILE)
    text = markdown.document(title, [*lead, *warnings], [*parts, last], texts)
    io.write_text(text, args.results / file_names.PAGE_MD)


if __name__ == "__main__":
    run(main)
