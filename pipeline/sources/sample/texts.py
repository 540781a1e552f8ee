"""Write titles and descriptions from an item's factors, reviews from stars and item.

The wording is drawn at random; only the factors shown in text carry meaning. The pattern, the
background and the photo style are never named.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.sources.sample.catalogue import Catalogue, Integers
from pipeline.sources.sample.factors import BY_NAME, TEXT

Words = tuple[str, ...]
ByMood = tuple[Words, Words, Words]
Strings = NDArray[np.object_]

# Kind: its nouns, and its category in the shop.
NOUNS_AND_CATEGORY = {
    "dress": (("Dress", "Frock"), "Dresses"),
    "shirt": (("Shirt", "Short Sleeve Shirt"), "Shirts"),
    "trousers": (("Trousers", "Pants"), "Trousers"),
    "skirt": (("Skirt", "Flared Skirt"), "Skirts"),
    "shoe": (("Sneakers", "Shoes"), "Shoes"),
    "bag": (("Tote Bag", "Handbag"), "Bags"),
    "hat": (("Hat", "Brimmed Hat"), "Hats"),
    "lamp": (("Table Lamp", "Lamp"), "Lamps"),
}
PLURAL_NOUNS = ("Trousers", "Pants", "Sneakers", "Shoes")
# Random, without a meaning.
CUTS = ("Classic", "Everyday", "Relaxed", "Slim", "Vintage", "Modern", "Petite", "Weekend")
TITLES = (
    "{brand} {fabric} {cut} {noun}, {colour}",
    "{brand} {cut} {noun} in {colour} {fabric}",
    "{brand} {cut} {colour} {fabric} {noun}",
    "{brand} {noun} - {fabric}, {cut}, {colour}",
)
OPENINGS = (
    "{plural_this} {cut} {noun} {is_are} made of {fabric} and dyed {colour}.",
    "The {cut} {noun} for home and away, in {colour}.",
    "{fabric_first} keeps its shape here: {cut} lines that wear well.",
    "{brand} made {plural_this_low} {cut} {noun} for people who keep things for years.",
)
MIDDLES = (
    "Our {fabric} is woven in small batches and washed before it is cut.",
    "The {colour} shade was mixed for {brand} and holds in daylight.",
    "Finished by hand, with double seams where it matters.",
    "We chose {fabric} because nothing else falls quite like it.",
)
CLOSINGS = (
    "Wipe or wash cold; dry in the shade.",
    "Ships folded in a paper box.",
    "Spare parts come in the box.",
    "Measure twice: sizes run true.",
)
FEATURES = (
    "Double seams",
    "Made in small batches",
    "Comes in a paper box",
    "Repaired free for a year",
    "Checked by two pairs of eyes",
    "Weight as shown on the label",
)
SYLLABLES = ("ta", "ve", "lo", "mi", "ru", "ka", "zen", "po", "shi", "dar", "fe", "wun")

# Reviews, by mood: 1-2, 3 and 4-5 stars.
SUMMARIES: ByMood = (
    ("Not for me", "Sent it back", "Disappointed", "Looked better online", "Would not repeat"),
    ("It is all right", "Mixed feelings", "Decent", "Three stars", "Fine for the price"),
    ("Love it", "Just what I wanted", "Very happy", "Good find", "Would buy again", "Lovely"),
)
BEGINNINGS: ByMood = (
    ("I had hoped for more.", "Came late and it is not my thing.", "It sits in a drawer now."),
    ("Neither good nor bad.", "Does what it says.", "I keep it, without much joy."),
    ("So pleased with this.", "Third one I own!", "Wore out the old one, got this.", "Great."),
)
REMARKS: ByMood = (
    ("The {subject} let me down.", "I do not reach for the {subject} much."),
    ("The {subject} will do.", "I expected a bit more of the {subject}."),
    ("I adore the {subject}.", "I had been looking for the {subject} for months."),
)
ENDINGS = (
    "",
    " Delivery was quick.",
    " My sister asked where I got it.",
    " The box was dented, the rest was fine.",
    " Bought in spring, still like new.",
    " Size as expected.",
)
N_REMARKS = 2
SIZES = ("Small", "Medium", "Large", "One Size")
MOOD_OF_STARS = np.array([0, 0, 0, 1, 2, 2])  # indexed by stars, 1 to 5


def words_of(catalogue: Catalogue, item: int, generator: np.random.Generator) -> dict[str, str]:
    """Return the words of the templates: an item's factors shown in text, noun and cut."""
    words = {
        name: factor.values[catalogue.codes[name][item]]
        for name, factor in BY_NAME.items()
        if TEXT in factor.shown_in
    }
    return words | {
        "noun": pick(NOUNS_AND_CATEGORY[words["kind"]][0], generator),
        "cut": pick(CUTS, generator),
    }


def title(words: dict[str, str], generator: np.random.Generator) -> str:
    """Return a title with brand, kind, colour, fabric and, often, a slogan.

    An ampersand is written as an HTML entity, as in the published files.
    """
    capitalised = {name: capitals(word) for name, word in words.items()}
    text = pick(TITLES, generator).format(**capitalised)
    if words["slogan"]:
        text = f"{text} - {words['slogan']}"
    return text.replace("&", "&amp;")


def capitals(text: str) -> str:
    """Return the text with the first letter of every word in upper case."""
    return " ".join(word[:1].upper() + word[1:] for word in text.split(" "))


def description(words: dict[str, str], generator: np.random.Generator) -> list[str]:
    """Return one to three sentences as a list of paragraphs, as the published files do."""
    is_plural = words["noun"] in PLURAL_NOUNS
    lower = words | {
        "noun": words["noun"].lower(),
        "cut": words["cut"].lower(),
        "fabric_first": words["fabric"].capitalize(),
        "plural_this": "These" if is_plural else "This",
        "plural_this_low": "these" if is_plural else "this",
        "is_are": "are" if is_plural else "is",
    }
    parts = [OPENINGS, MIDDLES, CLOSINGS][: int(generator.integers(1, 4))]
    return [" ".join(pick(part, generator).format(**lower) for part in parts)]


def subjects(catalogue: Catalogue) -> Strings:
    """Return (M,) the name of each item in reviews, such as `navy wool hat`."""
    nouns = tuple(NOUNS_AND_CATEGORY[kind][0][0].lower() for kind in BY_NAME["kind"].values)
    words = {"colour": BY_NAME["colour"].values, "fabric": BY_NAME["fabric"].values}
    colour, fabric, noun = (
        np.array(values, dtype=object)[catalogue.codes[name]]
        for name, values in (words | {"kind": nouns}).items()
    )
    return colour + " " + fabric + " " + noun


def remarks(catalogue: Catalogue) -> Strings:
    """Return (M, 3, N_REMARKS) sentences about each item, by mood."""
    named = subjects(catalogue)
    table = [[[r.format(subject=s) for r in mood] for mood in REMARKS] for s in named]
    return np.array(table, dtype=object).reshape(len(named), len(REMARKS), N_REMARKS)


def by_mood(table: ByMood, mood: Integers, generator: np.random.Generator) -> Strings:
    """Return a random text of the mood's row for each of (R,) moods."""
    sizes = np.array([len(row) for row in table])
    padded = np.full((len(table), sizes.max()), "", dtype=object)
    for number, row in enumerate(table):
        padded[number, : len(row)] = row
    column = (generator.random(len(mood)) * sizes[mood]).astype(np.int64)
    return padded[mood, column]


def reviewer_name(number: Integers) -> Strings:
    """Return an invented name of three syllables per user number."""
    syllables, n = np.array(SYLLABLES, dtype=object), len(SYLLABLES)
    mixed = number * 577 + 131
    first = np.array([s.capitalize() for s in SYLLABLES], dtype=object)[mixed % n]
    return first + syllables[mixed // n % n] + syllables[mixed // n**2 % n]


def pick(texts: Words, generator: np.random.Generator) -> str:
    """Return a random one of the texts."""
    return texts[int(generator.integers(len(texts)))]
