"""After one engine built the tree, make the other agree; refuse if anything is stale.

    python -m workflow.sync after-dvc          `dvc repro` built it: renew Snakemake's records
    python -m workflow.sync after-snakemake    Snakemake built it: renew dvc.lock and the cache

Each engine has a command that makes it believe what lies there, without a look at how it came
about: `snakemake --touch --forceall` and `dvc commit -f`. They are safe only while the engine
that built the tree can vouch for all of it. That is looked at first; when refused, no output,
no record and no dvc.lock has changed. At the end both engines are asked again, and have to say
that nothing is to be done.

For DVC, `dvc status` is proof: it compares content. Snakemake compares content only where a
time stamp makes it look, and never looks at what a job wrote. Beside its plan, therefore: every
output is there, has a record and the time stamp that its job gave it; every input has the
checksum that its readers recorded; raw files have those of their manifest. An output with
another time stamp passes if dvc.lock has it as it is, with inputs to match.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from pipeline import params
from pipeline.job import command_line
from pipeline.job.errors import Disagreement
from pipeline.tables.io import sha256_of
from pipeline.tables.schema import MANIFEST_FILE
from pipeline.transfer.raw_folder import manifest
from workflow import engines
from workflow.engines import TARGET, Record

# What DVC has and Snakemake does not make; the header of dvc.yaml says why.
FIRST, LAST = "settings", ("inputs", "results")
SAME_TIME = 0.001  # seconds; a record holds a float
SHOWN = 12  # findings in one message

AGAIN = "snakemake --cores N"


def after_dvc() -> None:
    """Give Snakemake records of what DVC built.

    Raises:
        Disagreement: DVC itself has something to do, or Snakemake is at work here.
    """
    _refuse(
        "DVC's outputs are stale",
        _stages(engines.dvc_status()),
        "Run `dvc checkout` for what is in DVC's cache, then `dvc repro`, then this again",
    )
    _refuse_while_held()
    # Not --touch alone, which writes no record for a job that needs nothing.
    engines.snakemake("--touch", "--forceall")
    plan = engines.plan()
    left = [*_stages(engines.dvc_status()), *plan.jobs, *plan.unrecorded]
    _refuse("The engines still disagree", left, "Was the tree changed meanwhile? Try again")


def after_snakemake() -> None:
    """Put what Snakemake built into dvc.lock and DVC's cache.

    Raises:
        Disagreement: Snakemake has something to do or is at work here, or an output is not the
            one that its job made.
        ParamsError: params.yaml cannot be run.
    """
    _refuse_while_held()
    plan = engines.plan()
    _refuse("Snakemake's outputs are stale", plan.jobs, f"Run `{AGAIN} {TARGET}`")
    files, records = engines.outputs(), engines.records()
    _refuse(
        "Snakemake cannot vouch for outputs",
        [*_unrecorded(files, records), *plan.unrecorded],
        "If DVC made them, run `dvc repro` and `python -m workflow.sync after-dvc`; else make "
        f"them again: `{AGAIN} FILE ...`, with `--force` if the files are there",
    )
    settings, vouched = params.load(), engines.vouched(engines.dvc_status())
    _refuse(
        "Files are not those that Snakemake's jobs wrote or read",
        [
            *_rewritten(files, records, vouched),
            *_other_inputs(files, records),
            *_other_raw_files(settings.datasets, vouched),
        ],
        f"Make them again: `{AGAIN} --forcerun RULE ... -- {TARGET}`, with the rules above",
    )
    stages = [FIRST, *_empty_features(settings), *LAST]
    engines.run("dvc", "repro", "--single-item", *stages)
    engines.run("dvc", "commit", "--force")
    # DVC's cache gave the outputs other time stamps than those on Snakemake's record.
    after_dvc()


def _stages(status: Mapping[str, str]) -> list[str]:
    return [f"{stage}: {how}" for stage, how in status.items()]


def _unrecorded(files: Mapping[str, str], records: Mapping[str, Record]) -> Iterator[str]:
    for file, rule in files.items():
        if not Path(file).exists():
            yield f"{rule}: {file}: deleted"
        elif file not in records:
            yield f"{rule}: {file}: no record of the job that made it"


def _rewritten(
    files: Mapping[str, str], records: Mapping[str, Record], vouched: set[str]
) -> Iterator[str]:
    for file, rule in files.items():
        moved = abs(Path(file).stat().st_mtime - records[file]["endtime"]) > SAME_TIME
        # A manifest is not an output of DVC's, its folder is.
        if moved and not {file, str(Path(file).parent)} & vouched:
            yield f"{rule}: {file}: written after its job ended"


def _other_inputs(files: Mapping[str, str], records: Mapping[str, Record]) -> Iterator[str]:
    """Find inputs that are not what a job read, whatever their time stamps say.

    An input that is not there is a part of a feature that was put together, and gone since:
    Snakemake's plan fails on any other.
    """
    known: dict[str, str] = {}
    for output, rule in files.items():
        for file in records[output]["input"]:
            if not Path(file).exists():
                continue
            if file not in known:
                known[file] = f"sha256:{sha256_of(Path(file))}"
            if records[output]["input_checksums"].get(file) != known[file]:
                yield f"{rule}: {file}: not the content of which {output} was made"


def _other_raw_files(datasets: Iterable[str], vouched: set[str]) -> Iterator[str]:
    for dataset in datasets:
        folder = Path("data/raw") / dataset
        if str(folder) in vouched:
            continue
        for entry in manifest(folder):
            file = folder / entry["file"]
            if not file.is_file() or sha256_of(file) != entry["sha256"]:
                yield f"download: {file}: not what {MANIFEST_FILE} says (with ingest, images)"


def _empty_features(settings: params.Params) -> list[str]:
    """Return the stages of modalities that a dataset lacks; DVC's matrix has them."""
    return [
        f"features@{dataset}-{modality}"
        for dataset in settings.datasets
        for modality in settings.modalities
        if modality not in settings.dataset_features(dataset)
    ]


def _refuse_while_held() -> None:
    _refuse(
        "Snakemake is running in this tree, or was killed",
        map(str, engines.held()),
        "Wait for it; if none runs, `snakemake --unlock`",
    )


def _refuse(what: str, findings: Iterable[str], mend: str) -> None:
    """Raise Disagreement if there is any finding; name the first ones."""
    found = list(dict.fromkeys(findings))
    if found:
        more = [f"... and {len(found) - SHOWN} more"] if len(found) > SHOWN else []
        lines = "".join(f"\n  {line}" for line in [*found[:SHOWN], *more])
        raise Disagreement(f"{what}:{lines}\n{mend}.")


def main(argv: list[str] | None = None) -> None:
    """Check, make the other engine agree, ask both; print one line."""
    parser = argparse.ArgumentParser(
        prog="python -m workflow.sync",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("built", choices=["after-dvc", "after-snakemake"], help="who built it")
    args = parser.parse_args(argv)
    after_dvc() if args.built == "after-dvc" else after_snakemake()
    print("Both engines agree: nothing is to be done.")


if __name__ == "__main__":
    command_line.run(main)
