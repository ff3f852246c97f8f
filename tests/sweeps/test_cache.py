"""What the members that one process runs share."""

import pytest

from fvc_exp.errors import DataError
from fvc_exp.sweeps.cache import SweepCache
from fvc_exp.training import split_dataset
from fvc_exp.training.split_dataset import SplitDataset
from tests.sweeps.conftest import MakePlan


def shared(cache: SweepCache, make: MakePlan, *arguments: str) -> list[SplitDataset]:
    return [cache.split_dataset(member.config, member.data_sha256) for member in make(*arguments).members]


def test_rows_folds_and_certificate_are_made_once(make: MakePlan, monkeypatch: pytest.MonkeyPatch) -> None:
    made, certify_run = [], split_dataset.certify_run
    monkeypatch.setattr(split_dataset, "certify_run", lambda *given: made.append(given) or certify_run(*given))
    cache = SweepCache()
    found = shared(cache, make, "C=0.1,1", "penalty=l1,l2")
    assert len(found) == 4
    assert len({id(each) for each in found}) == 1
    assert len({id(each.certificate) for each in found}) == len(made) == 1


@pytest.mark.parametrize("axis", ["seed=1,2", "cv.n_splits=3,4", "cv=grouped,stratified"])
def test_what_decides_folds_or_certificate_makes_another_split_of_the_same_rows(make: MakePlan, axis: str) -> None:
    one, other = shared(SweepCache(), make, axis)
    assert one is not other
    assert one.dataset is other.dataset


def test_rows_are_those_of_the_plan(make: MakePlan) -> None:
    member = make("C=0.1").members[0]
    with pytest.raises(DataError, match=r"data changed after the sweep was planned \(sha256 \w{12}, planned 000000"):
        SweepCache().split_dataset(member.config, "0" * 64)


def test_the_oldest_splits_are_forgotten_but_not_their_fits(make: MakePlan) -> None:
    members = make("search=grid", "C=0.1,1", "cv.n_splits=2", f"seed={','.join(map(str, range(12)))}").members
    first, cache = members[0], SweepCache()
    before = cache.split_dataset(first.config, first.data_sha256)
    cache.fit_together(members, members)
    after = cache.split_dataset(first.config, first.data_sha256)
    assert after is not before
    for data in (before, after):
        assert len(data.fit(first.config, data.split.development).fitted_with) == 2
