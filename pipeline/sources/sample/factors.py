"""What an item is made of: factors people choose by, and factors that decide who sees it.

A preference factor moves choices and nothing else. A nuisance factor moves exposure and
nothing else: it goes along with what people took and is no reason for it (paper, Figure 1).
"""

from __future__ import annotations

from dataclasses import dataclass

PREFERENCE, NUISANCE = "preference", "nuisance"
PICTURE, TEXT = "picture", "text"


@dataclass(frozen=True, slots=True)
class Factor:
    """One property of every item."""

    name: str
    role: str  # preference or nuisance
    shown_in: tuple[str, ...]  # the modalities from which it can be told
    values: tuple[str, ...]
    tied_to: str  # what it goes along with


FACTORS = (
    Factor(
        "kind",
        PREFERENCE,
        (PICTURE, TEXT),
        ("dress", "shirt", "trousers", "skirt", "shoe", "bag", "hat", "lamp"),
        "the choice of people who care about the kind",
    ),
    Factor(
        "colour",
        PREFERENCE,
        (PICTURE, TEXT),
        (
            "crimson",
            "mustard",
            "forest green",
            "sky blue",
            "navy",
            "rose pink",
            "plum",
            "charcoal",
        ),
        "the choice of people who care about the colour",
    ),
    Factor(
        "pattern",
        PREFERENCE,
        (PICTURE,),
        ("plain", "stripes", "dots", "checks", "zigzag", "blossoms"),
        "the choice of people who care about the pattern",
    ),
    Factor(
        "fabric",
        PREFERENCE,
        (TEXT,),
        ("cotton", "linen", "silk", "wool", "denim", "velvet"),
        "the choice of people who care about the fabric",
    ),
    Factor(
        "background",
        NUISANCE,
        (PICTURE,),
        ("studio", "wood", "grass", "room", "dusk"),
        "exposure: each group of users is shown one background more often, another one after "
        "the relaunch",
    ),
    Factor(
        "photo",
        NUISANCE,
        (PICTURE,),
        ("neutral", "warm", "cold", "vignette", "frame"),
        "exposure: each band of item popularity has its usual photo style",
    ),
    Factor(
        "brand",
        NUISANCE,
        (TEXT,),
        (
            "Lorvane",
            "Quillmere",
            "Tasko",
            "Fenn & Oro",
            "Brindale",
            "Oskuvi",
            "Marrowick",
            "Zelltor",
        ),
        "exposure: each period has two brands in campaign, shown to everybody more often",
    ),
    Factor(
        "slogan",
        NUISANCE,
        (TEXT,),
        ("", "New Season", "Gift Idea", "Limited Run", "Everyday Value"),
        "exposure: each period has one slogan in campaign, shown to everybody more often",
    ),
)
BY_NAME = {factor.name: factor for factor in FACTORS}
PREFERENCES = tuple(factor.name for factor in FACTORS if factor.role == PREFERENCE)
NUISANCES = tuple(factor.name for factor in FACTORS if factor.role == NUISANCE)
