"""Filling a template."""

import jinja2
import pytest

from pipeline.pages import template


def test_a_name_that_is_not_there_is_an_error():
    with pytest.raises(jinja2.UndefinedError, match="'dataset' is undefined"):
        template.render("explorer", kind="search", titles={}, pictured=set(), query="")
