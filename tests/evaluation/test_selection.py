from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fvc_exp.api import search
from fvc_exp.config.schema import Choice
from fvc_exp.evaluation.claims import Selection, claim_against_floor
from fvc_exp.runs.artifacts import results
from fvc_exp.training.experiment import RunResult
from fvc_exp.training.split_dataset import SplitDataset
from tests.conftest import Compose, noise_dataset, run, signal_dataset

STRENGTHS = (0.001, 0.01, 0.1, 1.0, 10.0, 100.0)


@pytest.fixture
def result(compose_config: Compose) -> RunResult:
    return run(compose_config("audit.permutations=0"), signal_dataset())


def chosen(result: RunResult, selection: Selection) -> dict[str, Any]:
    return selection.applied(results(result), result.predictions())


def test_the_p_value_knows_of_how_many_it_is_the_best(result: RunResult) -> None:
    found = chosen(result, Selection(28, edge_of_grid=True))
    alone = claim_against_floor(result.predictions())
    assert alone is not None
    assert found["selection"]["p_value"] == found["claim"]["p_value"] == pytest.approx(min(1.0, 28 * alone.p_value))
    assert (found["selection"]["of"], found["claim"]["selected_from"], found["flags"][-1]) == (28, 28, "edge_of_grid")
    held_out, mean = found["test"]["auc"], found["cv"]["auc"]["mean"]
    assert found["selection"]["sentence"] == (
        f"Held-out AUC {held_out:.3f}, not used for the choice. "
        f"Best of 28 configurations by cross-validated AUC: its {mean:.3f} is optimistic."
    )


def test_what_was_not_chosen_stays_as_it_is(result: RunResult) -> None:
    found = chosen(result, Selection(1, edge_of_grid=True))
    assert found == results(result)
    assert found["selection"] is None


def test_another_rule_and_no_held_out_rows(compose_config: Compose) -> None:
    found = chosen(run(compose_config("cv.test_size=0"), signal_dataset()), Selection(3, choice=Choice.tied))
    assert found["selection"]["sentence"].startswith("No rows were held out. Simplest near the best of 3 config")
    assert "edge_of_grid" not in found["flags"]


@pytest.mark.slow
@pytest.mark.parametrize("copies", [1, 3])
def test_the_best_of_eight_on_noise_is_seldom_better_than_the_floor(compose_config: Compose, copies: int) -> None:
    words = ("audit.permutations=0", "cv.test_size=0", "plots=false")
    grid = [replace(compose_config(*words), C=c) for c in STRENGTHS]
    grid += [replace(compose_config(*words, "penalty=l1"), C=c) for c in (0.3, 3.0)]
    found = np.zeros(2)  # claims that know of the choice, and those that do not
    for seed in range(300):
        dataset = noise_dataset(60 // copies, copies, 8, seed)
        _, best = search(grid, SplitDataset.of(grid[0], dataset))
        claims = [claim_against_floor(best.predictions(), selected_from=of) for of in (len(grid), 1)]
        found += [claim is not None and claim.beats for claim in claims]
    print(f"best of 8, groups of {copies}: {found} claims (and not knowing of the choice)")
    assert found[0] <= 0.05 * 300
