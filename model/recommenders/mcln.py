"""MCLN: multimodal counterfactual learning network.

Li et al., "Multimodal Counterfactual Learning Network for Multimedia-based Recommendation",
SIGIR 2023, https://doi.org/10.1145/3539618.3591739.  Equation numbers are the paper's.

The equations leave some choices open: the axis of the softmax in Eq. 12, how a 3d vector is
added to d vectors in Eq. 19, what i* is at inference, how negatives are computed. Each choice
is an argument here and a row in docs/paper.md. The authors' released program is another
network: see model/recommenders/mcln_released.py.

Shapes: U users, I items, D = dim, T tokens (one per modality, plus the ID embedding),
X = T * D (d_x), B triples of a batch, R rows (items), C draws of i*.

The network is model/parts/mcln_streams.py, which `mcln_plus` shares.
"""

from __future__ import annotations

from model.parts.mcln_streams import MCLNStreams


class MCLN(MCLNStreams):
    """Score <e_u, e_i^base> + lambda_m <e_u, e_v + e_t + e_vt>, Eq. 22.

    Args of the constructor:
        interactions: the training pairs, which make the graph.
        features: `{modality: (I, width)}`, fixed; any number of modalities, including none.
        dim: D.
        layers: L of Eq. 4.
        popularity: alpha of Eq. 2-3.
        l2: lambda of Eq. 23-24, on the scale of `model.losses`.
        feature_norm: `none` (the paper) or another of `model.parts.content.scale`.
        intra: e_v + e_t in Eq. 19.
        counterfactual: the counterfactual layers, e_vt in Eq. 19.
        identity: the propagated ID embedding as a modality of X (Eq. 6).
        counterfactual_layers: M.
        attention: the axis of the softmax of Eq. 12-13.
        context: with `attention: batch`, about how many items share a softmax; None for the
            whole batch in training and the whole catalogue at inference.
        difference: Eq. 14 (`distributions`), the released code (`logits`), or a control:
            without A* (`factual`), without attention (`none`).
        negatives: whether the counterfactual layers treat j of the loss like i
            (`counterfactual`, the paper), or subtract nothing (`factual`, the released code).
        others: how i* is drawn in training: uniformly from items outside the user's list (the
            paper), by popularity, or as the one of a few with the highest score.
        inference: what i* is outside training: the item itself (released code), its image
            under a fixed permutation of the catalogue, or the mean over several permutations.
        dropout: of X and of the outputs that each counterfactual layer adds to it, in training.
        gate: initial value of a learned factor on e_vt; None for no factor (the paper).
        modality_weight: lambda_m of Eq. 22.
        generator: for the Xavier initialisation, the permutation, and dropout in every step.

    With neither `intra` nor `counterfactual`, or without features, it is the paper's Base.
    """
