"""Which files each format consists of."""

import pytest

from pipeline import params
from pipeline.published.files import files, folders


def amazon(format_, **more):
    return params.AmazonSource(format=format_, category="Toys", **more)


def tables(**more):
    columns = {"user": "who", "item": "what", "image": "photo"}
    return params.TablesSource(
        format="tables", columns=columns, **{"items": "items.parquet"} | more
    )


@pytest.mark.parametrize(
    ("format_", "reviews", "names"),
    [
        ("amazon2014", "5core", ["reviews_Toys_5.json.gz", "meta_Toys.json.gz"]),
        ("amazon2014", "full", ["reviews_Toys.json.gz", "meta_Toys.json.gz"]),
        ("amazon2018", "5core", ["Toys_5.json.gz", "meta_Toys.json.gz"]),
        ("amazon2018", "full", ["Toys.json.gz", "meta_Toys.json.gz"]),
    ],
)
def test_amazon_files_have_their_published_names_and_several_addresses(format_, reviews, names):
    listed = files(amazon(format_, reviews=reviews))

    assert [file.name for file in listed] == names
    for file in listed:
        assert len(file.urls) >= 2
        assert all(url.endswith(f"/{file.name}") for url in file.urls)


def test_another_metadata_file_is_in_the_same_folder():
    listed = files(amazon("amazon2018", metadata="meta_Toys.v2.json.gz"))

    assert listed[1].published.endswith("amazon_v2/metaFiles2/meta_Toys.v2.json.gz")


@pytest.mark.parametrize(
    ("reviews", "paths"),
    [
        (
            "full",
            ["raw/review_categories/Toys.jsonl.gz", "raw/meta_categories/meta_Toys.jsonl.gz"],
        ),
        (
            "5core",
            [
                "benchmark/5core/rating_only/Toys.csv.gz",
                "raw/meta_categories/meta_Toys.jsonl.gz",
            ],
        ),
    ],
)
def test_amazon_files_of_2023_have_their_published_names_and_two_addresses(reviews, paths):
    source = params.Amazon2023Source(format="amazon2023", category="Toys", reviews=reviews)

    for file, path in zip(files(source), paths, strict=True):
        assert file.name == path.split("/")[-1]
        assert len(file.urls) == 2
        assert all(url.endswith(f"/amazon_2023/{path}") for url in file.urls)


def test_an_unknown_folder_has_addresses_but_no_checksums():
    other = params.PublishedSplitSource(format="published_split", folder="Other")

    listed = files(other)

    assert [file.name for file in listed] == [
        "train.txt",
        "validation.txt",
        "test.txt",
        "i2e_title.txt",
        "i2e_visual.txt",
    ]
    assert {file.sha256 for file in listed} == {""}
    assert listed[0].published.endswith("/Data/Other/train.txt")


def test_files_are_names_or_addresses_and_an_archive_of_pictures_is_one_of_them():
    source = tables(
        interactions="https://x.example/d/visits.csv.gz",
        items="items.parquet",
        pictures="photos.zip",
    )
    listed = files(source)

    assert [file.name for file in listed] == ["visits.csv.gz", "items.parquet", "photos.zip"]
    assert listed[0].urls == ("https://x.example/d/visits.csv.gz",)
    assert folders(source) == ()
    assert folders(tables(interactions="visits.csv", pictures="photos")) == ("photos",)
