"""What the engines are asked, and what is said when they refuse."""

import pytest

from pipeline.job.errors import Disagreement
from workflow import engines


def test_dvc_without_git_is_one_line_with_the_mend(tmp_path, monkeypatch):
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").write_text("[core]\n    analytics = false\n", encoding="utf-8")
    (tmp_path / "dvc.yaml").write_text("stages: {}\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    with pytest.raises(Disagreement, match=r"got none\. Run `git init`") as no:
        engines.dvc_status()
    assert "\n" not in str(no.value)

    (tmp_path / ".dvc/config.local").write_text("[core]\n    no_scm = true\n", encoding="utf-8")
    assert engines.dvc_status() == {}
