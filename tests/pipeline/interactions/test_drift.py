import pytest

from pipeline.interactions import drift
from pipeline.interactions.drift import differences
from pipeline.job.errors import SchemaError
from pipeline.tables.io import write_json

BEFORE = {
    "files": {"a.gz": {"bytes": 100, "sha256": "a" * 64}, "images/": {"files": 2, "bytes": 9}},
    "reviews": {"rows": 1000, "years": {"2013": 400, "2014": 600}},
    "items": {"rows": 10, "filled": {"title": 10, "brand": 4}},
    "rows": {"train": 800},
}


def test_equal_counts_have_no_differences():
    assert differences(BEFORE, BEFORE) == []


def test_each_count_that_differs_is_a_line_and_files_come_first():
    after = {
        "files": {"a.gz": {"bytes": 150, "sha256": "b" * 64}},
        "reviews": {"rows": 1010, "years": {"2013": 400, "2014": 600, "2015": 10}},
        "items": {"rows": 10, "filled": {"title": 10, "brand": 5}},
        "rows": {"train": 0},
    }

    assert differences(BEFORE, after) == [
        "files a.gz bytes: 100 -> 150 (+50, +50.00 %)",
        f"files a.gz sha256: {'a' * 16} -> {'b' * 16}",
        "files images/: files 2, bytes 9 -> none",
        "reviews rows: 1,000 -> 1,010 (+10, +1.00 %)",
        "reviews years 2015: none -> 10",
        "items filled brand: 4 -> 5 (+1, +25.00 %)",
        "rows train: 800 -> 0 (-800, -100.00 %)",
    ]


def test_a_change_from_zero_has_no_share():
    assert differences({"rows": {"test": 0}}, {"rows": {"test": 5}}) == [
        "rows test: 0 -> 5 (+5)"
    ]


def test_the_command_ends_with_status_1_where_two_files_differ(tmp_path, capsys):
    now, before = tmp_path / "now.json", tmp_path / "before.json"
    write_json({"profile": BEFORE}, now)
    write_json({"profile": BEFORE | {"rows": {"train": 801}}}, before)

    with pytest.raises(SystemExit) as ended:
        drift.main([str(now), str(before)])

    assert ended.value.code == 1
    assert capsys.readouterr().out == "rows train: 801 -> 800 (-1, -0.12 %)\n"
    with pytest.raises(SystemExit) as ended:
        drift.main([str(now), str(now)])
    assert ended.value.code == 0


def test_a_file_without_a_profile_is_refused(tmp_path):
    write_json({"findings": []}, tmp_path / "x.json")

    with pytest.raises(SchemaError, match=r"x.json: expected a file written by validate"):
        drift.main([str(tmp_path / "x.json"), str(tmp_path / "x.json")])
