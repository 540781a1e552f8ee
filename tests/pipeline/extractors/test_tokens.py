from __future__ import annotations

import html
import random
import re
import sys
import unicodedata
from functools import cache

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.extractors import tokens
from pipeline.extractors.tokens import plain, tokenise, tokenised

BODY = re.compile(r"<(script|style)\b[^>]*>.*?</\1\s*>", re.I | re.S)
TAG = re.compile(r"<[a-zA-Z/!][^>]*>")
JOINERS = "'\u00b7\u055f\u05f4\u2027\u200c\u200d"
HARD = [
    "L'Oréal&#39;s <br/>Day-Cream 50ml",
    "Don’t_stop 'til ’tis rock 'n' roll o''clock '",
    "a < b > c <3 1<2>0 < br>",
    "AT&T R&amp;D &lt;b&gt;bold&lt;/b&gt; &nbsp;x&notit; &#x41;&#0; &bogus; 5 &",
    "&#065; &#0000000000066;&#00 &#1114111; &#1114112;x &#123456789012345;y &#99999999 &#;",
    "<p\nclass='a'>new\nline</p><!-- seen --><",
    "<SCRIPT>var a = 1 < 2;</script >kept<style type=x>p{}</style><scripted>too</scripted>",
    "<script>never closed <b>x</b>",
    "ΟΔΟΣ ΣΑΣ. Σ ΑΣ'Α STRASSE straße İstanbul DŽ ǅ ẞ ﬁn Ⅷ ½ ² ٣٤",
    "हिन्दी العَرَبِيَّة עברית 한국어 cafe\u0301 café naïve Ünïcode col·lecció می\u200cخواهم",
    "\u00a0tab\tnul\0bell\x07 zero\u200bwidth\u200djoin soft\u00adhyphen \ufeff",
    "😀 smile 👩‍👩‍👧 flag 🇳🇱 1️⃣ e-mail@x.com http://a.b/c?d=e_f",
    "",
    "--",
]


def series(texts: list, dtype: pl.DataType | None = None) -> pl.Series:
    return pl.Series("title", texts, dtype)


def by_hand(text: str | None) -> list[str]:
    """The words, one character at a time, by Python's own Unicode tables."""
    text = TAG.sub(" ", BODY.sub(" ", html.unescape(text or "")))
    text = "".join(char for char in text if char not in invisible_ones())
    text = unicodedata.normalize("NFC", unicodedata.normalize("NFD", text).casefold())
    words, word = [], ""
    for char in text.replace("’", "'") + "  ":
        kind = unicodedata.category(char)
        inside = word and word[-1] not in JOINERS
        if kind[0] in "LN" or (inside and (kind in ("Mn", "Mc") or char in JOINERS)):
            word += char
        else:
            words += [word.strip(JOINERS)] if word else []
            word = ""
    return words


@cache
def invisible_ones() -> set[str]:
    """The characters that Unicode has ignored by default, less the joiners and a space."""
    chars = series([chr(n) for n in range(sys.maxunicode + 1) if not 0xD800 <= n < 0xE000])
    return set(chars.filter(chars.str.contains(tokens.INVISIBLE)))


def known(char: str) -> bool:
    """Whether Python's Unicode tables have the character; surrogates are not for texts."""
    return unicodedata.category(char) not in ("Cn", "Cs")


def test_strings_become_words():
    texts = ["L'Oréal&#39;s <br/>Day-Cream 50ml", "Don’t_stop", "a < b > c", None]

    assert tokenise(series(texts)).to_list() == [
        ["l'oréal's", "day", "cream", "50ml"],
        ["don't", "stop"],
        ["a", "b", "c"],
        [],
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("हिंदी किताब", ["हिंदी", "किताब"]),
        ("কমলা শাড়ি", ["কমলা", "শাড\u09bcি"]),
        ("தமிழ் புத்தகம்", ["தமிழ்", "புத்தகம்"]),
        ("كِتَابٌ", ["كِتَابٌ"]),
        ("می\u200cخواهم", ["می\u200cخواهم"]),
        ("סֵפֶר", ["סֵפֶר"]),
        ("Tiếng Việt", ["tiếng", "việt"]),
        ("İSTANBUL", ["i̇stanbul"]),
        ("STRASSE straße", ["strasse", "strasse"]),
        ("ΟΔΟΣ οδός", ["οδοσ", "οδόσ"]),
        ("한국어 셔츠", ["한국어", "셔츠"]),
        ("cof\u00adfee \u200fmug", ["coffee", "mug"]),
        ("t-shirt 3.5mm C++ U.S. a_b", ["t", "shirt", "3", "5mm", "c", "u", "s", "a", "b"]),
        ("1\ufe0f\u20e3 ❤\ufe0f red", ["1", "red"]),
        # without spaces between words
        ("เสื้อยืดสีแดง", ["เสื้อ", "ยืด", "สี", "แดง"]),
        ("女士 USB连衣裙 red", ["女士", "usb", "连", "衣裙", "red"]),
        ("レディースのワンピース", ["レディース", "の", "ワンピース"]),
        ("ເສື້ອຢືດສີແດງ", ["ເສື້ອ", "ຢືດ", "ສີແດງ"]),
        ("ភាសាខ្មែរ", ["ភាសាខ្មែរ"]),
        ("အနီရောင်တီရှပ်", ["အနီ", "ရောင်", "တီ", "ရှပ်"]),
    ],
)
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_words_of_every_script_are_whole(text, words, form):
    nfc = [unicodedata.normalize("NFC", word) for word in words]

    assert tokenise(series([unicodedata.normalize(form, text)])).to_list() == [nfc]


def test_scripts_and_styles_go_with_their_bodies():
    texts = [
        "Lamp <script type='a'>var price = 3;</script>red",
        "&lt;style&gt;p {}&lt;/style&gt; Lamp",
        "<script>how to write one",
        "<scripts>kept</scripts>",
    ]

    assert tokenise(series(texts)).to_list() == [
        ["lamp", "red"],
        ["lamp"],
        ["how", "to", "write", "one"],
        ["kept"],
    ]


def test_hard_cases_equal_pythons_own_tables():
    assert tokenise(series([*HARD, None])).to_list() == [
        by_hand(text) for text in [*HARD, None]
    ]


def test_a_number_of_any_length_is_no_failure():
    texts = [f"a&#{'9' * 5000};b", f"&#{'0' * 5000}65;b"]

    assert tokenise(series(texts)).to_list() == [["a", "b"], ["ab"]]


def test_every_character_is_read_as_python_reads_it():
    """Less what this Python's tables do not know, surrogates, and scripts without spaces."""
    chars = [char for char in map(chr, range(sys.maxunicode + 1)) if known(char)]
    spaced = ~series(chars).str.contains(tokens.NO_SPACES)
    chars = series(chars).filter(spaced).to_list()
    texts = [f"a{char}b {char} 'A{char}'" for char in chars]

    lists = tokenise(series(texts)).to_list()

    different = [
        c for c, words, t in zip(chars, lists, texts, strict=True) if words != by_hand(t)
    ]
    assert different == []


@settings(max_examples=300, deadline=None)
@given(st.integers())
def test_mixtures_equal_pythons_own_tables(seed):
    draw = random.Random(seed)  # noqa: S311 (no secret)
    pieces = [text[i : i + 3] for text in HARD for i in range(len(text))]
    texts = ["".join(draw.choices(pieces, k=12)) for _ in range(20)]
    # Joined pieces may number a letter that is younger than this Python's Unicode tables, or
    # of a script without spaces.
    texts = [text for text in texts if all(map(known, html.unescape(text)))]
    texts = series(texts, pl.String)
    texts = texts.filter(~plain(texts).str.contains(tokens.NO_SPACES)).to_list()

    lists = tokenise(series(texts, pl.String)).to_list()

    assert lists == [by_hand(text) for text in texts]


def test_token_lists_are_used_as_they_are():
    lists = tokenise(series([["12", "A-b"], None, [], ["", None, "7"]]))

    assert lists.to_list() == [["12", "A-b"], [], [], ["7"]]


@pytest.mark.parametrize("texts", [[None, ""], [[], None]])
def test_no_word_is_an_empty_list(texts):
    dtype = pl.String if "" in texts else pl.List(pl.String)

    assert tokenise(series(texts, dtype)).to_list() == [[], []]


def test_chunks_are_the_whole_in_order():
    whole = tokenise(series(HARD)).to_list()

    chunks = [chunk.to_list() for chunk in tokenised(series(HARD), 4)]

    assert [len(chunk) for chunk in chunks] == [4, 4, 4, 2]
    assert [words for chunk in chunks for words in chunk] == whole


def test_plain_text_keeps_its_case():
    assert plain(series(["A &amp; <b>B</b>", None])).to_list() == ["A &  B ", ""]


def test_the_metadata_says_how_words_are_cut():
    assert "scripts, styles and tags removed" in tokens.in_words(series(["a"]))
    assert tokens.in_words(series([["a"]])) == "as given"
    assert "NFC" not in tokens.in_words(series(["a &amp; b"]))
    assert tokens.in_words(series(["a", "&eacute;"])).endswith("combining marks kept")
    assert "words by icu4py 1." in tokens.in_words(series(["a", "女士"]))
