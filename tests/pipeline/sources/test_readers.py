from typing import get_args

import pytest

from pipeline import params
from pipeline.published import files as published
from pipeline.sources import readers


def test_every_format_of_params_has_a_reader_and_a_list_of_files_and_no_other():
    kinds = get_args(get_args(params.Source)[0])
    formats = [get_args(kind.model_fields["format"].annotation) for kind in kinds]

    names = sorted(name for names in formats for name in names)
    assert names == sorted(readers.READERS) == sorted(published.FILES)


def test_an_unknown_format_is_answered_with_the_known_ones():
    with pytest.raises(
        ValueError, match=r"unknown format 'csv', expected one of \['amazon2014'"
    ):
        readers.get("csv")
