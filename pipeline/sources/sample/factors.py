"""The factors of an item: those that users choose by, and those that decide who sees it.

A preference factor influences choices only. A nuisance factor influences exposure only: it is
correlated with choices without being a reason for them (paper, Figure 1).
"""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.sources.sample.surfaces import COLOURS

PREFERENCE, NUISANCE = "preference", "nuisance"
PICTURE, TEXT = "picture", "text"
KINDS = ("dress", "shirt", "trousers", "skirt", "shoe", "bag", "hat", "lamp")
PATTERNS = ("plain", "stripes", "dots", "checks", "zigzag", "blossoms")
FABRICS = ("cotton", "linen", "silk", "wool", "denim", "velvet")
BACKGROUNDS = ("studio", "wood", "grass", "room", "dusk")
PHOTO_STYLES = ("neutral", "warm", "cold", "vignette", "frame")
BRANDS = (
    *("Lorvane", "Quillmere", "Tasko", "Fenn & Oro"),
    *("Brindale", "Oskuvi", "Marrowick", "Zelltor"),
)
SLOGANS = ("", "New Season", "Gift Idea", "Limited Run", "Everyday Value")


@dataclass(frozen=True, slots=True)
class Factor:
    """One property of every item."""

    name: str
    role: str  # preference or nuisance
    shown_in: tuple[str, ...]  # modalities that show it
    values: tuple[str, ...]
    tied_to: str  # what it is correlated with


def _preference(name: str, shown_in: tuple[str, ...], values: tuple[str, ...]) -> Factor:
    tied_to = f"the choice of people who care about the {name}"
    return Factor(name, PREFERENCE, shown_in, values, tied_to)


def _nuisance(name: str, modality: str, values: tuple[str, ...], cause: str) -> Factor:
    return Factor(name, NUISANCE, (modality,), values, f"exposure: {cause}")


FACTORS = (
    _preference("kind", (PICTURE, TEXT), KINDS),
    _preference("colour", (PICTURE, TEXT), tuple(COLOURS)),
    _preference("pattern", (PICTURE,), PATTERNS),
    _preference("fabric", (TEXT,), FABRICS),
    _nuisance(
        "background",
        PICTURE,
        BACKGROUNDS,
        "each group of users is shown one background more often, another one after "
        "the relaunch",
    ),
    _nuisance(
        "photo",
        PICTURE,
        PHOTO_STYLES,
        "each band of item popularity has its usual photo style",
    ),
    _nuisance(
        "brand",
        TEXT,
        BRANDS,
        "each period has two brands in campaign, shown to everybody more often",
    ),
    _nuisance(
        "slogan",
        TEXT,
        SLOGANS,
        "each period has one slogan in campaign, shown to everybody more often",
    ),
)
BY_NAME = {factor.name: factor for factor in FACTORS}
PREFERENCES = tuple(factor.name for factor in FACTORS if factor.role == PREFERENCE)
NUISANCES = tuple(factor.name for factor in FACTORS if factor.role == NUISANCE)
