import pytest

from fvc_exp.training.notes import FLAGS, edge_of_grid
from tests.conftest import Compose, run, signal_dataset


@pytest.mark.parametrize(
    ("chosen", "tried", "edge"),
    [(0.01, [0.01, 0.1, 1], True), (1, [1, 0.01, 0.1], True), (0.1, [0.01, 0.1, 1], False), (1, [1, 2], False),
     (1, [1, 1, 1, 2], False), (1.0, [], False)],
    ids=["lowest", "highest", "inside", "two values", "two values repeated", "no grid"],
)  # fmt: skip
def test_edge_of_grid(chosen: float, tried: list[float], edge: bool) -> None:
    assert edge_of_grid(chosen, tried) is edge


@pytest.mark.parametrize(
    ("overrides", "flags"),
    [
        (("solver=saga", "solver.max_iter=2"), {"not_converged"}),
        (("penalty=l1", "C=0.0001"), {"null_model", "one_class_predicted"}),
        (("cv=nested", "cv.c_grid=[1e-9,2e-9,3e-9]"), {"edge_of_grid"}),
    ],
    ids=["solver", "nothing learned", "edge"],
)
def test_every_flag_is_documented(compose_config: Compose, overrides: tuple[str, ...], flags: set[str]) -> None:
    found = set(run(compose_config(*overrides), signal_dataset()).flags)
    assert flags <= found <= set(FLAGS)


def test_a_nested_search_is_no_best_of_several(compose_config: Compose) -> None:
    notes = run(compose_config("cv=nested", "cv.c_grid=[0.1,1,1]"), signal_dataset()).notes
    assert sum("so the scores are not those of a best of 2" in note for note in notes) == 1
