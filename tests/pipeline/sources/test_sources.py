from typing import get_args

import pytest

from pipeline import params, sources


def test_every_format_of_params_has_a_reader_and_no_other():
    kinds = get_args(get_args(params.Source)[0])
    formats = [get_args(kind.model_fields["format"].annotation) for kind in kinds]

    assert sorted(name for names in formats for name in names) == sorted(sources.SOURCES)


def test_an_unknown_format_lists_the_known_ones():
    with pytest.raises(
        ValueError, match=r"unknown format 'csv', expected one of \['amazon2014'"
    ):
        sources.get("csv")
