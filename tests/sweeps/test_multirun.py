import pytest
from hydra.core.config_loader import ConfigLoader
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from fvc_exp.sweeps.multirun import Grid

POINTS = {
    "nothing": [],
    "values": ["C=0.1", "seed=3", "cv.n_splits=3"],
    "groups": ["penalty=elasticnet", "solver=saga", "cv=repeated"],
    "both": ["penalty=elasticnet", "penalty.l1_ratio=0.3", "C=1e-3"],
    "value before its group": ["penalty.l1_ratio=0.3", "penalty=elasticnet"],
    "value twice": ["C=1", "C=2"],
    "null": ["class_weight=null"],
    "enum": ["class_weight=balanced"],
    "list": ["features.tables=[stage2,stage4]"],
    "interpolation": ["outputs=elsewhere", "data.scaled_metadata=${outputs}/x"],
    "no such option": ["penalty=ridge"],
    "no such key": ["typo=1"],
    "wrong type": ["C=lots"],
    "no such nested key": ["penalty=l1", "penalty.typo=1"],
    "added": ["+C=3"],
    "forced": ["++seed=4"],
}


@pytest.mark.parametrize("point", POINTS.values(), ids=POINTS)
def test_composes_what_hydra_composes(grid: Grid, loader: ConfigLoader, master: DictConfig, point: list[str]) -> None:
    expected = error = None
    try:
        whole = loader.load_sweep_config(master, point)
        expected = {key: value for key, value in OmegaConf.to_container(whole).items() if key != "hydra"}
    except HydraException as raised:
        error = raised
    if error:
        with pytest.raises(HydraException) as caught:
            grid.compose(point)
        assert str(caught.value) == str(error)
    else:
        assert OmegaConf.to_container(grid.compose(point)) == expected


def test_points_of_a_grid_do_not_touch_each_other(grid: Grid) -> None:
    first = grid.compose(["penalty=l2", "C=5"])
    assert grid.compose(["penalty=l2"]).C == 1
    assert first.C == 5
