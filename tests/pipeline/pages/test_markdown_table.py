"""Rows, rules and cells that must not leave their column."""

from pipeline.pages import markdown_table


def test_a_table_has_a_head_a_rule_and_rows():
    lines = markdown_table.lines(["model", "N@5"], [["a", "**0.5**"], ["b", "0.4"]])

    assert lines == ["| model | N@5 |", "| --- | ---: |", "| a | **0.5** |", "| b | 0.4 |"]


def test_each_column_may_be_aligned_by_itself():
    lines = markdown_table.lines(["", "a", "b"], [], "rll")

    assert lines == ["|  | a | b |", "| ---: | --- | --- |"]


def test_a_bar_never_splits_a_cell_and_is_escaped_once():
    (line,) = markdown_table.lines(["a|b", r"c\|d"], [])[:1]

    assert line == r"| a\|b | c\|d |"


def test_text_from_outside_changes_nothing_but_its_cell():
    hostile = "a|b\\|c\n<script>`x` \u0000 end"

    text = markdown_table.plain(hostile)

    assert text == r"a\|b\\\|c &lt;script>'x' end"
    assert markdown_table.lines([text], [])[0] == f"| {text} |"
