import pytest

from pipeline.experiments.study import times
from pipeline.job.errors import SchemaError

HEAD = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"


def test_a_benchmark_is_read_and_one_too_short_to_be_looked_at(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text(HEAD + "12.5\t0:00:12\t800.0\t1\t1\t1\t0\t0\t50\t6.25\n")
    assert times.read(path) == {"s": 12.5, "cpu_time": 6.25, "max_rss": 800.0}

    path.write_text(HEAD + "0.1\t0:00:00\t-\t-\t-\t-\t-\t-\t-\tNA\n")
    assert times.read(path) == {"s": 0.1, "cpu_time": None, "max_rss": None}


def test_another_table_is_refused(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text("x\n1\n")

    with pytest.raises(SchemaError, match="expected columns"):
        times.read(path)


def test_the_sums_are_over_what_was_timed():
    timed = {"s": 10.0, "cpu_time": 4.0, "max_rss": 800.0}

    text = times.text({"a": timed, "b": timed, "c": None}, "a machine")

    assert text.startswith("a machine\n")
    assert "2 of 3 trainings timed: 20 s one after the other, 8 s of CPU." in text
    assert text.splitlines()[5].split() == ["c", "-", "-", "-"]
