import pytest

from fvc_exp.training.notes import FLAGS, columns_line, edge_of_grid
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


def test_one_line_says_what_became_of_the_columns() -> None:
    about = [f"frames_{number}" for number in range(9)]
    ignored = {"": "index", **dict.fromkeys(about, "about the file"), "target": "equals the label"}
    assert columns_line({"used": ["a", "b"], "ignored": ignored, "constant": ["c"]}) == (
        "columns: 2 used, 11 ignored ('': index; frames_0, frames_1, frames_2, frames_3, frames_4, [...]: about the "
        "file; target: equals the label), 1 constant; all in results.json"
    )
    assert columns_line({"used": [], "ignored": {}, "constant": []}).startswith("columns: 0 used, 0 ignored, 0 con")
