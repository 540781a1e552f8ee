import ast
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.sources import literals
from pipeline.sources.lines import Batch
from pipeline.sources.literals import as_json, read_literal


def converted(*lines):
    batch = Batch(Path("meta"), 7, "\n".join(lines).encode())
    return as_json(batch).text.decode().split("\n")


@pytest.fixture
def by_hand(monkeypatch):
    """Lines that were not rewritten in bulk."""
    lines = []
    monkeypatch.setattr(literals, "_evaluated", lambda line: lines.append(line) or "?")
    return lines


REWRITTEN = {
    "a record of the dump": "{'asin': 'B1', 'price': 9.99, 'categories': [['Toys', 'A & B']]}",
    "an apostrophe": "{'title': \"it's\", 'brand': 'x'}",
    "a double quote": "{'title': '5\" disk', 'brand': 'x'}",
    "both": "{'title': 'it\\'s 5\"'}",
    "escapes of both languages": r"{'t': 'a\nb\tc\\d\u00e9\r\f\b'}",
    "an escape of Python's": r"{'t': 'caf\xe9 \x22 \x5c \x27'}",
    "letters of any alphabet": "{'t': 'é Ж 漢 😀 \u2028'}",
    "brackets and words in a text": "{'t': '{[None, True]}: #'}",
    "a backslash before a quote": r"{'t': 'back\\', 'u': 'it\'s'}",
    "signs and exponents": "{'t': -1.5e+3, 'u': 0, 'v': -0}",
    "nothing": "{}",
}


@pytest.mark.parametrize("line", REWRITTEN.values(), ids=REWRITTEN)
def test_ordinary_lines_are_rewritten_without_being_read(by_hand, line):
    (code,) = converted(line)

    assert json.loads(code) == ast.literal_eval(line)
    assert by_hand == []


READ = {
    "half a pair of surrogates": r"{'t': '\ud83d\ude00'}",
    "an octal escape": r"{'t': '\101'}",
    "a name": r"{'t': '\N{DASH}'}",
    "a stray backslash": r"{'t': 'a\/b \q'}",
    "one text in each sort of quotes, with the other inside": "{'t': \"it's\", 'u': '5\"'}",
    "a raw tab": "{'t': 'a\tb'}",
    "words of JSON": "{'t': null}",
    "words of JSON in a text": "{'t': 'a: true, b'}",
    "a stand-in": "{'t': '\x02'}",
    "brackets without end": "{'t': " + "[" * 150 + "]" * 150 + "}",
    "a number without end": "{'t': " + "9" * 5000 + "}",
}


@pytest.mark.parametrize("line", READ.values(), ids=READ)
def test_ambiguous_lines_are_read_by_literal_eval(by_hand, line):
    converted(line)

    assert by_hand == [line]


# The words of Python are no JSON, which its parser says; so are these.
NOT_JSON = {
    "words of Python": "{'t': [None, True, False]}",
    "a tuple": "{'t': ('a',)}",
    "a set": "{'t': {'a'}}",
    "a key that is no text": "{1: 'a'}",
    "texts side by side": "{'t': 'a' 'b'}",
    "three quotes": "{'t': '''a'''}",
    "bytes": "{'t': b'a'}",
    "an old prefix": "{'t': u'a'}",
    "underscores": "{'t': 1_000}",
    "another base": "{'t': 0x1f}",
    "a comma too many": "{'t': 'a',}",
    "a sum": "{'t': 1+2j}",
    "a comment": "{'t': 1} # 'a'",
    "an infinite number": "{'t': 1e999}",
}


@pytest.mark.parametrize("line", NOT_JSON.values(), ids=NOT_JSON)
def test_what_json_cannot_express_never_becomes_another_value(line):
    (code,) = converted(line)

    try:
        value = json.loads(code)
    except ValueError:
        return
    assert value == ast.literal_eval(line)
    assert "(" not in line


def test_lines_keep_their_places():
    code = converted("{'a': 1}", "null", r"{'a': '\101'}", "{'a': \"it's\"}", "{'a': 2}")

    assert code == ['{"a": 1}', "?", '{"a": "A"}', '{"a": "it\'s"}', '{"a": 2}']


def test_a_literal_that_is_too_long_is_refused():
    with pytest.raises(ValueError, match="at most 1,048,576 characters"):
        read_literal("[" + "0," * (1 << 20) + "]")
    assert converted("{'a': [" + "0," * (1 << 20) + "]}") == ["?"]


texts = st.text(
    st.sampled_from("'\"\\nux0418{}[]:,() #\t\n\x01\x02\x03é😀\ud800NTruefalsnull")
    | st.characters(),
    max_size=8,
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(texts, inner, max_size=3)
        | st.tuples(inner)
    ),
    max_leaves=8,
)


@settings(max_examples=250, deadline=None)
@given(st.lists(st.dictionaries(texts, values, max_size=4), min_size=1, max_size=4))
def test_rewritten_lines_have_pythons_value(rows):
    lines = [repr(row) for row in rows]

    for line, code in zip(lines, converted(*lines), strict=True):
        try:
            value = json.loads(code, parse_constant=lambda name: pytest.fail(name))
        except ValueError:
            continue
        assert value == ast.literal_eval(line)


pieces = st.sampled_from(
    ["'", '"', "\\", "\\'", '\\"', "\\\\", "a", "{", "}", "[", "]", ":", ",", " ", "1", "None",
     "null", "\\x41", "\\u0041", "u", "b", "(", ")", "#", "-", "é", "\\\n"]
)  # fmt: skip


@settings(max_examples=600, deadline=None)
@given(st.lists(pieces, max_size=14).map("".join))
def test_quotes_in_any_order_never_make_another_value(middle):
    line = "{'a': '" + middle.replace("\n", "") + "'}"
    (code,) = converted(line)

    try:
        value = json.loads(code)
    except ValueError:
        return
    assert value == read_literal(line)
