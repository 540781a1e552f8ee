"""Both engines, run to the end: the same bytes, and the same jobs again after an edit."""

import pytest
from workflow_tree import SIF, VGG16, copy_tree, edit, made, planned, ran, run


@pytest.mark.slow
@pytest.mark.parametrize("visual", [SIF, VGG16], ids=["sif", "vgg16"])
def test_both_engines_make_the_same_files_and_rerun_the_same_jobs(tmp_path, visual):
    """Tiny, but through every stage: the files are equal to the last byte."""
    trees = with_dvc, with_snakemake = copy_tree(tmp_path / "dvc"), copy_tree(tmp_path / "smk")
    for tree in trees:
        edit(
            tree,
            models=["bprmf", "mcln"],
            sources__sample__scale=0.1,
            features__sample__visual=visual,
            train__epochs=4,
            train__evaluate_every=2,
        )
    run(with_dvc, "dvc", "repro")
    run(with_snakemake, "snakemake", "--cores", "2", "evaluate")

    assert made(with_dvc) == made(with_snakemake)
    assert len(made(with_dvc)) > 30

    # Nothing is left to do.
    assert ran(run(with_dvc, "dvc", "repro")) == set()
    assert planned(with_snakemake) == set()

    # Another setting of one extractor: that feature, what reads it, what follows.
    for tree in trees:
        edit(tree, features__sample__textual__epochs=3)
    expected = {
        "features@sample-textual",
        "train@sample-mcln",
        "evaluate@sample-mcln",
        "recommend@sample-mcln",
        "compare@sample",
        "curves@sample",
    }
    assert planned(with_snakemake) == expected
    assert ran(run(with_dvc, "dvc", "repro")) == expected
    run(with_snakemake, "snakemake", "--cores", "2", "evaluate")
    assert made(with_dvc) == made(with_snakemake)
