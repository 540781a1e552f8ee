r"""Stages `inputs`, `token_inputs` and `results`, of DVC alone: checksums of inputs.

    data/features/D, data/tokens/D.parquet -> data/fingerprints/training/D/M.json
    data/features/D                        -> data/fingerprints/tokens/D.json
    results/D/M                            -> data/fingerprints/results/D/M.json

DVC's dependencies are a fixed list, but which features a model reads is a parameter. The
training stages therefore depend on a small file that changes only with those features and, if
it reads tokens, with those. The stage `tokens` has one for the features of its visual words.
`compare` reads every model, and a stage may not depend on the folder of its own outputs: it
depends on a folder of such files instead. Snakemake names the files themselves.

    python -m workflow.fingerprint training sample mcln \
        data/fingerprints/training/sample/mcln.json
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pipeline import params
from pipeline.job.command_line import SHARED, parser, run
from pipeline.job.errors import SchemaError
from pipeline.params.tokens import features_read
from pipeline.tables.io import sha256_of, write_json
from pipeline.tables.schema import HISTORY_FILE, METRICS_FILE, RANKS_FILE, RECOMMENDATIONS_FILE

FEATURES, TOKENS, RESULTS = Path("data/features"), Path("data/tokens"), Path("results")


def training_inputs(settings: params.Params, dataset: str, model: str) -> list[Path]:
    """Return the features and tokens that `model` reads on `dataset`; none if only ids."""
    features = _features(dataset, settings.model_modalities(model, dataset))
    reads_tokens = bool(settings.model_tokens(model, dataset))
    return features + [TOKENS / f"{dataset}.parquet"] * reads_tokens


def token_inputs(settings: params.Params, dataset: str) -> list[Path]:
    """Return the features that the tokens of `dataset` are made from."""
    return _features(dataset, features_read(settings.dataset_tokens(dataset)))


def _features(dataset: str, modalities: Iterable[str]) -> list[Path]:
    return [FEATURES / dataset / f"{modality}.parquet" for modality in modalities]


def results(dataset: str, model: str) -> list[Path]:
    """Return the files of `model` that the comparison reads."""
    names = (METRICS_FILE, RANKS_FILE, HISTORY_FILE, RECOMMENDATIONS_FILE)
    return [RESULTS / dataset / model / name for name in names]


def checksums(paths: Iterable[Path]) -> dict[str, str]:
    """Return `{path: sha256}`.

    Raises:
        SchemaError: a file is absent.
    """
    by_path = {}
    for path in paths:
        if not path.exists():
            raise SchemaError(
                f"{path}: no such file; run the stage that writes it first. A modality must be "
                "in `modalities` of params.yaml"
            )
        by_path[path.as_posix()] = sha256_of(path)
    return by_path


def main(argv: list[str] | None = None) -> None:
    """Read the files, write their checksums."""
    arguments = parser(__doc__)
    choices = ["training", "tokens", "results"]
    arguments.add_argument("of", choices=choices, help="what is read later")
    arguments.add_argument("dataset", help=SHARED["dataset"])
    arguments.add_argument("model", nargs="?", help=f"{SHARED['model']}; not for tokens")
    arguments.add_argument("output", type=Path, help="JSON, path to sha256")
    args = arguments.parse_args(argv)

    settings, dataset = params.load(), args.dataset
    if args.of == "tokens":
        paths = token_inputs(settings, dataset)
    elif args.of == "training":
        paths = training_inputs(settings, dataset, args.model)
    else:
        paths = results(dataset, args.model)
    write_json(checksums(paths), args.output)


if __name__ == "__main__":
    run(main)
