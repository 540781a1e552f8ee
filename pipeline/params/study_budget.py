"""What the trainings of the study may spend, and which settings a search gives them.

With `search` a model's settings are those that its sweep found best on validation: the
search of the paper's section 4.1.4. A model that is only a variant may take what was found for
the model it is a variant of.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pipeline.job.errors import ParamsError, SchemaError

if TYPE_CHECKING:
    from pipeline.params import Params
    from pipeline.params.study import Budget
    from pipeline.params.study_cells import Cell


def budget(settings: Params) -> Budget:
    """Return what the study may spend.

    Raises:
        ParamsError: `study.budget` names none of `study.budgets`.
    """
    study = settings.study
    if study.budget not in study.budgets:
        raise ParamsError(
            f"params.yaml: study.budget: expected one of {list(study.budgets)}, got "
            f"{study.budget!r}"
        )
    return study.budgets[study.budget]


def searched(settings: Params, model: str) -> str | None:
    """Return the model whose sweep gives a model's settings; None where nothing is searched.

    A variant that is not swept itself has what was found for the model it is a variant of.

    Raises:
        ParamsError: neither is swept.
    """
    if not budget(settings).search:
        return None
    swept = settings.sweep.models if settings.sweep else []
    for name in (model, settings.architecture(model)):
        if name in swept:
            return name
    raise ParamsError(
        f"params.yaml: study.budget: {settings.study.budget} searches each model's settings: "
        f"expected {settings.architecture(model)} in sweep.models, got {swept}"
    )


def changes(
    settings: Params, dataset: str, cell: Cell, sweep: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Return what a cell changes in its model's settings.

    Args:
        settings: the file params.yaml.
        dataset: where it is trained.
        cell: the training.
        sweep: content of the sweep.json that `searched` asks for; None where it asks for none.

    Raises:
        ParamsError: the budget searches and there is no sweep, or that of another model.
        SchemaError: no run of the sweep came to its end.
    """
    wanted, given = searched(settings, cell.model), sweep and sweep["model"]
    if wanted != given:
        raise ParamsError(
            f"params.yaml: study.budget: {cell.name} needs the sweep of {wanted}, got that of "
            f"{given}; give --sweep results/{dataset}/{wanted}/sweep.json"
        )
    if sweep is None:
        return dict(cell.values)
    if sweep["best"] is None:
        raise SchemaError(
            f"results/{dataset}/{wanted}/sweep.json: no run came to its end; widen "
            "sweep.ranges in params.yaml"
        )
    own = settings.model(cell.model, dataset)
    # What makes a variant a variant stays, such as M of the paper's own form.
    kept = set() if wanted == cell.model else set(settings.sections[cell.model]["default"])
    best = {k: v for k, v in sweep["best"].items() if hasattr(own, k) and k not in kept}
    return best | cell.values
