"""The numbers printed in the paper: Tables 1 to 5, by published split.

Li et al., SIGIR 2023, https://doi.org/10.1145/3539618.3591739. Table 2 has HR@5, NDCG@5, HR@10
and NDCG@10; Tables 3 and 4 have HR@5 and NDCG@5, and their rows have the models' names of
params.yaml here. For Figure 4 the text names each peak, which is the model of Table 2; its
other points have no printed numbers.
"""

from __future__ import annotations

PRINTED: dict[str, dict[str, tuple[float, ...]]] = {
    "amazon-beauty": {
        "bprmf": (0.4274, 0.3343, 0.5173, 0.3634), "svdpp": (0.4584, 0.3592, 0.5520, 0.3895),
        "ngcf": (0.4853, 0.3776, 0.5820, 0.4089), "lightgcn": (0.5229, 0.3909, 0.6385, 0.4285),
        "vbpr": (0.4722, 0.3665, 0.5670, 0.3973), "mmgcn": (0.4934, 0.3714, 0.6067, 0.4081),
        "mgat": (0.5010, 0.3781, 0.6152, 0.4152), "invrl": (0.5130, 0.3955, 0.6097, 0.4268),
        "dmrl": (0.5230, 0.4075, 0.6215, 0.4396), "mcln": (0.5636, 0.4368, 0.6689, 0.4710),
        "base": (0.5293, 0.4069), "base_v": (0.5313, 0.4087), "base_v_cl": (0.5384, 0.4108),
        "base_v_id_cl": (0.5386, 0.4116), "base_t": (0.5462, 0.4228),
        "base_t_cl": (0.5582, 0.4271), "base_t_id_cl": (0.5589, 0.4309),
        "base_vt": (0.5492, 0.4230), "base_vt_cl": (0.5620, 0.4362),
        "base_vt_id_cl": (0.5636, 0.4368),
        "mcln_without_intra": (0.5379, 0.4128), "mcln_without_inter": (0.5492, 0.4230),
    },
    "Art": {
        "bprmf": (0.6333, 0.5597, 0.7052, 0.5829), "svdpp": (0.6530, 0.5627, 0.7425, 0.5916),
        "ngcf": (0.6742, 0.5882, 0.7541, 0.6141), "lightgcn": (0.6938, 0.5996, 0.7710, 0.6246),
        "vbpr": (0.6699, 0.5830, 0.7464, 0.6078), "mmgcn": (0.6769, 0.5643, 0.7702, 0.5945),
        "mgat": (0.6825, 0.5784, 0.7699, 0.6067), "invrl": (0.6965, 0.5986, 0.7748, 0.6237),
        "dmrl": (0.6972, 0.6008, 0.7775, 0.6272), "mcln": (0.7168, 0.6123, 0.7973, 0.6384),
        "base": (0.7016, 0.5932), "base_v": (0.7028, 0.5963), "base_v_cl": (0.7046, 0.5980),
        "base_v_id_cl": (0.7060, 0.5994), "base_t": (0.7105, 0.6036),
        "base_t_cl": (0.7151, 0.6054), "base_t_id_cl": (0.7156, 0.6060),
        "base_vt": (0.7110, 0.6055), "base_vt_cl": (0.7164, 0.6116),
        "base_vt_id_cl": (0.7168, 0.6123),
        "mcln_without_intra": (0.7067, 0.5939), "mcln_without_inter": (0.7110, 0.6055),
    },
    "taobao": {
        "bprmf": (0.3215, 0.2465, 0.4049, 0.2733), "svdpp": (0.3374, 0.2523, 0.4293, 0.2819),
        "ngcf": (0.3575, 0.2658, 0.4593, 0.2986), "lightgcn": (0.3886, 0.2896, 0.4961, 0.3243),
        "vbpr": (0.3464, 0.2639, 0.4364, 0.2928), "mmgcn": (0.3649, 0.2709, 0.4695, 0.3047),
        "mgat": (0.3783, 0.2820, 0.4882, 0.3175), "invrl": (0.3913, 0.2926, 0.4897, 0.3244),
        "dmrl": (0.3757, 0.2876, 0.4594, 0.3146), "mcln": (0.4067, 0.3060, 0.5105, 0.3393),
        "base": (0.3933, 0.2950), "base_v": (0.3994, 0.2993), "base_v_cl": (0.4048, 0.3034),
        "base_v_id_cl": (0.4067, 0.3060),
    },
}  # fmt: skip
TABLE_1: dict[str, dict[str, float]] = {  # `visual` and `textual` are widths of the features
    "amazon-beauty": {
        "users": 15576, "items": 8678, "interactions": 139318, "density": 0.00103,
        "visual": 4096, "textual": 300,
    },
    "Art": {
        "users": 25165, "items": 9324, "interactions": 201427, "density": 0.00086,
        "visual": 4096, "textual": 300,
    },
    "taobao": {
        "users": 12539, "items": 8735, "interactions": 83648, "density": 0.00076,
        "visual": 4096,
    },
}  # fmt: skip
TABLE_5: dict[str, dict[int, tuple[float, ...]]] = {  # by M: HR@5 and NDCG@5
    "amazon-beauty": {
        1: (0.5602, 0.4302), 2: (0.5636, 0.4368), 3: (0.5629, 0.4361), 4: (0.5616, 0.4316),
        5: (0.5600, 0.4280),
    },
    "Art": {
        1: (0.7145, 0.6114), 2: (0.7168, 0.6123), 3: (0.7138, 0.6081), 4: (0.7126, 0.6066),
        5: (0.7115, 0.6006),
    },
    "taobao": {
        1: (0.4012, 0.3008), 2: (0.4018, 0.3021), 3: (0.4044, 0.3046), 4: (0.4067, 0.3060),
        5: (0.4036, 0.3041),
    },
}  # fmt: skip
FIGURE_4 = {"amazon-beauty": 4, "Art": 5, "taobao": 5}  # L with the best of mcln
TABLE_4 = ("mcln_without_intra", "mcln_without_inter")


def table_of(model: str, printed: tuple[float, ...]) -> str:
    """Return the table of the paper that has a model's numbers, such as `Table 2`."""
    if model in TABLE_4:
        return "Table 4"
    return "Table 2" if len(printed) == 4 else "Table 3"


def point_of(
    folder: str, model: str, setting: str, value: object
) -> tuple[str, tuple[float, ...]] | None:
    """Return where the paper prints a point of a curve, and its numbers; None if nowhere.

    For Figure 4 these are the numbers of the tables, which use the L of its peak.
    """
    if setting == "layers" and folder in FIGURE_4 and FIGURE_4[folder] == value:
        where = {"mcln": "peak of Figure 4", "base": "Table 3, with the L of Figure 4's peak"}
        return (where[model], PRINTED[folder][model]) if model in where else None
    if model == "mcln" and setting == "counterfactual_layers" and isinstance(value, int):
        numbers = TABLE_5.get(folder, {}).get(value)
        return ("Table 5", numbers) if numbers else None
    return None
