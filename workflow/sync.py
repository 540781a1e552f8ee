"""After one engine built the tree, make the other agree; refuse if anything is stale.

    python -m workflow.sync after-dvc          `dvc repro` built it: renew Snakemake's records
    python -m workflow.sync after-snakemake    Snakemake built it: renew dvc.lock and the cache

Each engine has a command that records the files as they are, without checking what made them:
`snakemake --touch --forceall` and `dvc commit -f`. They are safe only while the records of the
engine that built the tree are valid for all of it. That is checked first; a refusal changes no
output, no record and no dvc.lock. At the end both engines must report nothing to do.

For DVC, `dvc status` is sufficient: it compares content. Snakemake compares content only if a
time stamp differs, and never that of a job's outputs. In addition to its plan, therefore: every
output exists, has a record and the time stamp from its job; every input has the checksum that
its readers recorded; raw files have those of their manifest. An output with another time stamp
passes if it matches dvc.lock and its inputs do too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from pipeline import params
from pipeline.job.command_line import parser, run
from pipeline.job.errors import Disagreement
from pipeline.tables.io import sha256_of
from pipeline.tables.schema import MANIFEST_FILE
from pipeline.transfer.raw_folder import manifest
from workflow import engines
from workflow.engines import TARGET, Record

# Stages of DVC alone, besides `settings`, whose outputs Snakemake writes at every start.
LAST = ("token_inputs", "inputs", "results")
SAME_TIME = 0.001  # seconds; a record holds a float
SHOWN = 12  # findings in one message

AGAIN = "snakemake --cores N"


def after_dvc() -> None:
    """Give Snakemake records of what DVC built.

    Raises:
        Disagreement: DVC has something to do, or Snakemake is running here.
    """
    _refuse(
        "DVC's outputs are stale",
        _stages(engines.dvc_status()),
        "Run `dvc checkout` for what is in DVC's cache, then `dvc repro`, then this again",
    )
    _refuse_while_locked()
    # --touch alone writes no record for a job that is up to date.
    engines.snakemake("--touch", "--forceall", "--no-hooks")
    plan = engines.plan()
    differences = [*_stages(engines.dvc_status()), *map(str, plan.jobs), *plan.unrecorded]
    _refuse("The engines still disagree", differences, "Did the tree change? Try again")
    # `other_engine` compares its time with those of Snakemake's records.
    engines.DVC_LOCK.touch()


def after_snakemake() -> None:
    """Put what Snakemake built into dvc.lock and DVC's cache.

    Raises:
        Disagreement: Snakemake has something to do or is running here, or an output is not
            the one that its job made.
        ParamsError: params.yaml is invalid.
    """
    _refuse_while_locked()
    plan = engines.plan()
    _refuse("Snakemake's outputs are stale", map(str, plan.jobs), f"Run `{AGAIN} {TARGET}`")
    files, records = engines.outputs(), engines.records()
    _refuse(
        "Snakemake has no valid record of outputs",
        [*_unrecorded(files, records), *plan.unrecorded],
        "If DVC made them, run `dvc repro` and `python -m workflow.sync after-dvc`; else make "
        f"them again: `{AGAIN} FILE ...`, with `--force` if the files are there",
    )
    settings, unchanged = params.load(), engines.unchanged_outputs(engines.dvc_status())
    _refuse(
        "Files are not those that Snakemake's jobs wrote or read",
        [
            *_rewritten(files, records, unchanged),
            *_other_inputs(files, records),
            *_other_raw_files(settings.datasets, unchanged),
        ],
        f"Make them again: `{AGAIN} --forcerun RULE ... -- {TARGET}`, with the rules above",
    )
    stages = [*_empty_features(settings), *LAST]
    engines.run("dvc", "repro", "--single-item", *stages)
    engines.run("dvc", "commit", "--force")
    # DVC's cache gave the outputs other time stamps than those in Snakemake's records.
    after_dvc()


def _stages(status: Mapping[str, str]) -> list[str]:
    return [f"{stage}: {change}" for stage, change in status.items()]


def _unrecorded(files: Mapping[str, str], records: Mapping[str, Record]) -> Iterator[str]:
    for file, rule in files.items():
        if not Path(file).exists():
            yield f"{rule}: {file}: deleted"
        elif file not in records:
            yield f"{rule}: {file}: no record of the job that made it"


def _rewritten(
    files: Mapping[str, str], records: Mapping[str, Record], unchanged: set[str]
) -> Iterator[str]:
    for file, rule in files.items():
        difference = abs(Path(file).stat().st_mtime - records[file]["endtime"])
        # A manifest is not an output of a DVC stage, its folder is.
        if difference > SAME_TIME and not {file, str(Path(file).parent)} & unchanged:
            yield f"{rule}: {file}: written after its job ended"


def _other_inputs(files: Mapping[str, str], records: Mapping[str, Record]) -> Iterator[str]:
    """Find inputs whose content is not what a job read, whatever their time stamps.

    An absent input is a temporary shard of a feature: Snakemake's plan fails on any other.
    """
    checksums: dict[str, str] = {}
    for output, rule in files.items():
        for file in records[output]["input"]:
            if not Path(file).exists():
                continue
            if file not in checksums:
                checksums[file] = f"sha256:{sha256_of(Path(file))}"
            if records[output]["input_checksums"].get(file) != checksums[file]:
                yield f"{rule}: {file}: not the content of which {output} was made"


def _other_raw_files(datasets: Iterable[str], unchanged: set[str]) -> Iterator[str]:
    for dataset in datasets:
        folder = Path("data/raw") / dataset
        for entry in () if str(folder) in unchanged else manifest(folder):
            file = folder / entry["file"]
            if not file.is_file() or sha256_of(file) != entry["sha256"]:
                yield f"download: {file}: not as in {MANIFEST_FILE} (with ingest, images)"


def _empty_features(settings: params.Params) -> list[str]:
    """Return the stages of modalities that a dataset lacks; DVC's matrix has them."""
    return [
        f"features@{dataset}-{modality}"
        for dataset in settings.datasets
        for modality in settings.modalities
        if modality not in settings.dataset_features(dataset)
    ]


def _refuse_while_locked() -> None:
    _refuse(
        "Snakemake is running in this tree, or was killed",
        map(str, engines.locks()),
        "Wait for it to end; if it was killed, `snakemake --unlock`",
    )


def _refuse(what: str, findings: Iterable[str], how_to_fix: str) -> None:
    """Raise Disagreement if there is any finding; name the first ones."""
    unique = list(dict.fromkeys(findings))
    if unique:
        more = [f"... and {len(unique) - SHOWN} more"] if len(unique) > SHOWN else []
        lines = "".join(f"\n  {line}" for line in [*unique[:SHOWN], *more])
        raise Disagreement(f"{what}:{lines}\n{how_to_fix}.")


def main(argv: list[str] | None = None) -> None:
    """Check, make the other engine agree, check both; print one line."""
    commands = {"after-dvc": after_dvc, "after-snakemake": after_snakemake}
    arguments = parser(__doc__)
    arguments.add_argument("built", choices=list(commands), help="which engine built the tree")
    commands[arguments.parse_args(argv).built]()
    print("Both engines agree: nothing is to be done.")


if __name__ == "__main__":
    run(main)
