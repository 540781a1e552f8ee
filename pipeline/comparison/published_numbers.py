"""Numbers that others published, by the names that `benchmark.published` links datasets with.

A model has its name of params.yaml here, also where there is no such model. The tables of the
MCLN paper are in paper_numbers.py, and are entries here too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from model.measures import split_metric, split_name
from pipeline.comparison.paper_numbers import PRINTED, TABLE_1
from pipeline.job.errors import ParamsError
from pipeline.params import Params

TITLES = {
    "addvae": "ADDVAE", "bm3": "BM3", "bprmf": "BPR", "dmrl": "DMRL", "dualgnn": "DualGNN",
    "freedom": "FREEDOM", "grcn": "GRCN", "invrl": "InvRL", "lattice": "LATTICE",
    "lightgcn": "LightGCN", "mcln": "MCLN", "mgat": "MGAT", "mgcn": "MGCN", "mmgcn": "MMGCN",
    "ngcf": "NGCF", "slmrec": "SLMRec", "smore": "SMORE", "svdpp": "SVD++", "vbpr": "VBPR",
}  # fmt: skip


@dataclass(frozen=True)
class Published:
    """Numbers on one dataset, and how they came about, as far as that is stated."""

    title: str
    metrics: tuple[str, ...]  # protocol and name of each number of a row
    counts: Mapping[str, float]  # users, items and interactions
    split: str  # sentences, like the next three
    ranking: str
    selection: str
    features: str
    settings: str
    mask: str  # `evaluate.mask` that hides the same; "" if that is not stated
    sources: tuple[str, ...]
    rows: Mapping[str, tuple[int, tuple[float, ...]]]  # of a model: index of its source, values


MMREC, DANCE, SMORE = 0, 1, 2
AMAZON = Published(
    title="",
    metrics=("full recall@10", "full recall@20", "full ndcg@10", "full ndcg@20"),
    counts={},
    split="8:1:1 of each user's interactions, one draw, several test items a user.",
    ranking="All items without those of train; validation items stay in the list (MMRec).",
    selection="By MMRec's default the epoch with the best Recall@20 on validation, measured "
    "every epoch, at most 1,000, stopped after 20 without an improvement; not trained again "
    "with validation.",
    features="4,096 numbers of a picture and 384 of the texts.",
    settings="Searched by the authors of the source for each model; the number of seeds is not "
    "stated.",
    mask="train",
    sources=(
        "enoche/MMRec, evaluation/README.md, https://github.com/enoche/MMRec",
        "README of DANCE, Dual Alignment with Contrastive Enhancement for Multimodal "
        "Recommendation",
        "Ong and Khong, SMORE, WSDM 2025, https://arxiv.org/abs/2412.14978",
    ),
    rows={},
)
PUBLISHED = {
    "amazon_baby": replace(
        AMAZON,
        title="Amazon Baby, 5-core",
        counts={"users": 19445, "items": 7050, "interactions": 160792},
        rows={
            "bprmf": (MMREC, (0.0357, 0.0575, 0.0192, 0.0249)),
            "lightgcn": (MMREC, (0.0479, 0.0754, 0.0257, 0.0328)),
            "vbpr": (MMREC, (0.0423, 0.0663, 0.0223, 0.0284)),
            "mmgcn": (MMREC, (0.0378, 0.0615, 0.0200, 0.0261)),
            "dualgnn": (MMREC, (0.0448, 0.0716, 0.0240, 0.0309)),
            "grcn": (MMREC, (0.0539, 0.0833, 0.0288, 0.0363)),
            "lattice": (MMREC, (0.0547, 0.0850, 0.0292, 0.0370)),
            "bm3": (MMREC, (0.0564, 0.0883, 0.0301, 0.0383)),
            "slmrec": (MMREC, (0.0529, 0.0775, 0.0290, 0.0353)),
            "addvae": (MMREC, (0.0598, 0.0910, 0.0323, 0.0404)),
            "freedom": (MMREC, (0.0627, 0.0992, 0.0330, 0.0424)),
            "mgcn": (DANCE, (0.0620, 0.0964, 0.0339, 0.0417)),
            "smore": (SMORE, (0.0680, 0.1035, 0.0365, 0.0457)),
        },
    ),
    "amazon_sports": replace(
        AMAZON,
        title="Amazon Sports and Outdoors, 5-core",
        counts={"users": 35598, "items": 18357, "interactions": 296337},
        rows={
            "bprmf": (MMREC, (0.0432, 0.0653, 0.0241, 0.0298)),
            "lightgcn": (MMREC, (0.0569, 0.0864, 0.0311, 0.0387)),
            "vbpr": (MMREC, (0.0558, 0.0856, 0.0307, 0.0384)),
            "mmgcn": (MMREC, (0.0370, 0.0605, 0.0193, 0.0254)),
            "dualgnn": (MMREC, (0.0568, 0.0859, 0.0310, 0.0385)),
            "grcn": (MMREC, (0.0598, 0.0915, 0.0332, 0.0414)),
            "lattice": (MMREC, (0.0620, 0.0953, 0.0335, 0.0421)),
            "bm3": (MMREC, (0.0656, 0.0980, 0.0355, 0.0438)),
            "slmrec": (MMREC, (0.0663, 0.0990, 0.0365, 0.0450)),
            "addvae": (MMREC, (0.0709, 0.1035, 0.0389, 0.0473)),
            "freedom": (MMREC, (0.0717, 0.1089, 0.0385, 0.0481)),
            "mgcn": (DANCE, (0.0729, 0.1068, 0.0397, 0.0496)),
            "smore": (SMORE, (0.0762, 0.1142, 0.0408, 0.0506)),
        },
    ),
    "amazon_clothing": replace(
        AMAZON,
        title="Amazon Clothing, Shoes and Jewelry, 5-core",
        counts={"users": 39387, "items": 23033, "interactions": 278677},
        rows={
            "bprmf": (DANCE, (0.0187, 0.0279, 0.0103, 0.0126)),
            "lightgcn": (DANCE, (0.0340, 0.0526, 0.0188, 0.0236)),
            "vbpr": (DANCE, (0.0281, 0.0415, 0.0158, 0.0192)),
            "mmgcn": (DANCE, (0.0218, 0.0345, 0.0110, 0.0142)),
            "bm3": (DANCE, (0.0422, 0.0621, 0.0231, 0.0281)),
            "freedom": (DANCE, (0.0629, 0.0941, 0.0341, 0.0420)),
            "smore": (SMORE, (0.0659, 0.0987, 0.0360, 0.0443)),
        },
    ),
    "lfm2k": replace(
        AMAZON,
        title="Last.fm-2K with the files of swapUniba/multimodal_ml1m_dbbook_lfm2k",
        metrics=("full recall@20", "full ndcg@20"),
        counts={"users": 1858, "items": 1425, "interactions": 56345},
        split="The same file and labels.",
        selection="MMRec's rule: the epoch of at most 60 with the best Recall@20 on "
        "validation; not trained again with validation.",
        features="The same files: MiniLM of the tags and VGGish of the songs.",
        settings="MMRec's defaults at lr 0.001 and batches of 2,048 pairs, not searched: BPR "
        "with reg 0.01, LightGCN with one layer; one seed.",
        sources=(
            "MMRec's program (https://github.com/enoche/MMRec) run on these files; measured "
            "for this table, not printed anywhere",
        ),
        rows={
            "bprmf": (MMREC, (0.3598, 0.2462)),
            "lightgcn": (MMREC, (0.3482, 0.2403)),
            "vbpr": (MMREC, (0.3123, 0.2140)),
            "freedom": (MMREC, (0.3454, 0.2352)),
            "bm3": (MMREC, (0.2920, 0.2034)),
        },
    ),
}


def _of_the_paper(folder: str) -> Published:
    """Return the MCLN paper's rows on one of its splits."""
    names = ("hr@5", "ndcg@5", "hr@10", "ndcg@10")
    return Published(
        title=f"the split {folder} of the MCLN paper",
        metrics=tuple(f"sampled {name}" for name in names),
        counts=TABLE_1[folder],
        split="Leave-one-out by time (4.1.1).",
        ranking="The test item among 99 sampled ones, drawn anew each time.",
        selection="Not stated; the released code measures on test every few epochs and keeps "
        "the best.",
        features="4,096 numbers of a picture and 300 of a title.",
        settings="Searched by the authors (4.1.4); the number of seeds is not stated.",
        mask="",
        sources=("Li et al., SIGIR 2023, https://doi.org/10.1145/3539618.3591739, Tables 2-4",),
        rows={model: (0, values) for model, values in PRINTED[folder].items()},
    )


PUBLISHED |= {
    "paper_beauty": _of_the_paper("amazon-beauty"),
    "paper_art": _of_the_paper("Art"),
    "paper_taobao": _of_the_paper("taobao"),
}


def linked(settings: Params, dataset: str) -> Published | None:
    """Return the numbers that `benchmark.published` links a dataset with, None without a link.

    `settings` is the file as it is for the dataset.

    Raises:
        ParamsError: there are none of this name, or `evaluate.k` lacks a cut-off of theirs.
    """
    name = settings.benchmark.published.get(dataset)
    if name is None:
        return None
    if name not in PUBLISHED:
        raise ParamsError(
            f"params.yaml: benchmark.published.{dataset}: expected one of {sorted(PUBLISHED)}, "
            f"got {name!r}; pipeline/comparison/published_numbers.py has the numbers"
        )
    published = PUBLISHED[name]
    needed = {split_name(split_metric(metric)[1])[1] for metric in published.metrics}
    if not needed <= set(settings.evaluate.k):
        raise ParamsError(
            f"params.yaml: evaluate.k: expected {sorted(needed)} among them, at which {name} "
            f"has numbers, got {settings.evaluate.k}; evaluate.datasets.{dataset}.k sets it"
        )
    return published
