import pytest

from fvc_exp.training.notes import FLAGS, columns_line, edge_of_grid, raised_flags
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
    ("flag", "having", "final", "details"),
    [("null_model", 2, False, None), ("null_model", 3, False, "3 of 5 fold models"),
     ("null_model", 0, True, "the final model"), ("one_class_predicted", 1, False, None),
     ("not_converged", 1, False, "1 of 5 fold models: why"),
     ("not_converged", 5, True, "the final model and 5 of 5 fold models: why")],
)  # fmt: skip
def test_a_flag_says_which_models_raise_it(flag: str, having: int, final: bool, details: str | None) -> None:
    own = {flag: "why" if flag == "not_converged" else ""}
    found = raised_flags([own] * having + [{}] * (5 - having), own if final else {})
    assert found == ({flag: details} if details else {})


@pytest.mark.parametrize("solver", ["auto", "lbfgs", "newton-cholesky", "saga"])
@pytest.mark.parametrize("complete", [False, True])
def test_separation_is_flagged_whatever_the_solver(compose_config: Compose, solver: str, complete: bool) -> None:
    dataset = signal_dataset()
    dataset.X[:, 0] = dataset.y * (1 if complete else dataset.groups % 3 > 0)
    found = run(compose_config("penalty=none", f"solver={solver}", "audit.permutations=0"), dataset)
    assert found.flag_details["not_converged"].startswith("the final model and 5 of 5 fold models: ")
    assert "a plane separates the classes" in " ".join(found.notes)
    if solver == "auto":
        assert "a plane separates the classes" in found.flag_details["not_converged"]
    assert "not_converged" not in run(compose_config("penalty=l2", "audit.permutations=0"), dataset).flag_details


FLAGGED = {
    "nothing learned": (("penalty=l1", "C=0.0001"), {"null_model", "one_class_predicted"}),
    "edge": (("cv=nested", "cv.c_grid=[1e-9,2e-9,3e-9]"), {"edge_of_grid"}),
}


@pytest.mark.parametrize(("overrides", "flags"), FLAGGED.values(), ids=FLAGGED)
def test_every_flag_is_documented(compose_config: Compose, overrides: tuple[str, ...], flags: set[str]) -> None:
    assert flags <= set(run(compose_config(*overrides), signal_dataset()).flag_details) <= set(FLAGS)


def test_one_line_says_what_became_of_the_columns() -> None:
    about = [f"frames_{number}" for number in range(9)]
    ignored = {"": "index", **dict.fromkeys(about, "about the file"), "target": "equals the label"}
    assert columns_line({"used": ["a", "b"], "ignored": ignored, "constant": ["c"]}) == (
        "columns: 2 used, 11 ignored ('': index; 9 about the file; target: equals the label), 1 constant (c); "
        "all in results.json"
    )
    assert columns_line({"used": [], "ignored": {}, "constant": []}).startswith("columns: 0 used, 0 ignored, 0 con")


def test_a_nested_search_is_no_best_of_several(compose_config: Compose) -> None:
    notes = run(compose_config("cv=nested", "cv.c_grid=[0.1,1,1]"), signal_dataset()).notes
    assert sum("so the scores are not those of a best of 2" in note for note in notes) == 1
