"""Write what the searches of the section `tune` found to params.yaml.

    results/D/M/tune.json of every model that is tuned -> params.yaml

Of each model's section only the settings that were searched change, in the layer of the
dataset, which is added if there is none; every other byte of the file stays. The result of a
search with other settings than those of params.yaml is refused. Models without a result are
named and left as they are. `--dry-run` prints the lines that would change, and writes nothing.

    python -m pipeline.experiments.sweep.keep sample --dry-run
"""

from __future__ import annotations

import difflib
import logging
from pathlib import Path
from typing import Any

from pipeline import params
from pipeline.job.command_line import parser, run
from pipeline.job.errors import ParamsError, SchemaError
from pipeline.pages.file_names import TUNE_JSON
from pipeline.params import sweep, tune
from pipeline.params.yaml_edit import with_layer
from pipeline.params.yaml_file import PARAMS_FILE
from pipeline.tables.io import read_json, write_text

log = logging.getLogger("keep")
AGAIN = "run snakemake --cores 8 tune"


def found(settings: params.Params, dataset: str, results: Path) -> dict[str, dict[str, Any]]:
    """Return `{model: its best settings}` of every model that has been tuned on a dataset.

    Args:
        settings: params.yaml.
        dataset: the name of it.
        results: the folder results/<dataset>.

    Raises:
        ParamsError: no model has been tuned.
        SchemaError: a result is of other settings than those of params.yaml.
    """
    settings = settings.of(dataset)
    section, best = tune.as_sweep(settings), {}
    names = tune.models(settings, dataset)
    for model in names:
        path = results / model / TUNE_JSON
        if not path.exists():
            log.warning("%s: no such file; %s stays as it is", path, model)
            continue
        table = read_json(path)
        ranges = sweep.ranges(section, dataset, model)
        if (table.get("fixed"), table.get("ranges"), table.get("seed")) != (
            sweep.fixed(section, dataset, model),
            ranges,
            settings.seed,
        ):
            raise SchemaError(f"{path}: params.yaml has changed since it was made; {AGAIN}")
        if table["best"] is None:
            log.warning("%s: every training diverged; %s stays as it is", path, model)
        else:
            best[model] = {key: table["best"][key] for key in ranges}
    if not best:
        raise ParamsError(f"{results}: expected the search of one of {names}; {AGAIN}")
    return best


def main(argv: list[str] | None = None) -> None:
    """Read, change, print what changed."""
    parse = parser(__doc__, "dataset")
    parse.add_argument("--results", type=Path, help="default: results/<dataset>")
    parse.add_argument("--dry-run", action="store_true", help="print the lines, write nothing")
    args = parse.parse_args(argv)
    results = args.results or Path("results") / args.dataset
    before = PARAMS_FILE.read_text(encoding="utf-8")
    after = before
    for model, values in found(params.load(), args.dataset, results).items():
        after = with_layer(after, model, args.dataset, values)
    lines = difflib.unified_diff(
        before.splitlines(),
        after.splitlines(),
        str(PARAMS_FILE),
        str(PARAMS_FILE),
        "",
        "",
        1,
        "",
    )
    print("\n".join(lines) if after != before else f"{PARAMS_FILE} has these settings already")
    if not args.dry_run and after != before:
        write_text(after, PARAMS_FILE)


if __name__ == "__main__":
    run(main)
