"""Which configurations cannot be told from the best one, and which of them is the simplest."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fvc_exp.config.schema import Choice
from fvc_exp.errors import ArtifactError
from fvc_exp.evaluation.statistics import corrected_t_test, holm, standard_error

ALPHA = 0.05


LOWER_IS_BETTER = frozenset(("log_loss", "brier"))


_PENALTIES = ("l1", "elasticnet", "l2", "none")


@dataclass(frozen=True, eq=False)
class Contender:
    """A configuration and its scores of all folds (J,), in the order of the folds.

    ``nonzero`` counts the coefficients of the final model that are not zero, without the intercept; ``C`` is infinite
    where there is no penalty.
    """

    name: str
    label: str
    scores: NDArray[np.float64]
    nonzero: int
    C: float
    penalty: str

    @property
    def complexity(self) -> tuple[int, float, int, str]:
        """Simpler ones sort first: fewer coefficients, then smaller C, then l1, elastic net, l2, none; then names."""
        return self.nonzero, self.C, _PENALTIES.index(self.penalty), self.name


@dataclass(frozen=True)
class Standing:
    """One configuration beside the best: mean score, difference, adjusted p-value, and whether it ties."""

    contender: Contender
    mean: float
    difference: float
    p_value: float
    tied: bool
    within_one_se: bool


@dataclass(frozen=True)
class TieSummary:
    """All configurations, the best first; ``simplest`` is the simplest tied one, ``one_se`` that within one SE.

    A model without coefficients is a constant, so neither of the two is one as long as there is another.
    """

    metric: str
    standings: tuple[Standing, ...]
    simplest: Contender
    one_se: Contender

    @property
    def best(self) -> Contender:
        """The one with the best mean; of equal ones the simplest."""
        return self.standings[0].contender

    @property
    def n_tied(self) -> int:
        """How many tie, the best one among them."""
        return sum(standing.tied for standing in self.standings)

    def choose(self, choice: Choice) -> Contender:
        """The configuration that a rule takes."""
        return {Choice.best: self.best, Choice.tied: self.simplest, Choice.one_se: self.one_se}[choice]

    def sentence(self) -> str:
        """What to believe of the ranking, in one sentence."""
        if len(self.standings) == 1:
            return f"only one configuration: {self.best.label}"
        constants = sum(standing.tied and not standing.contender.nonzero for standing in self.standings)
        said = f"{self.n_tied} of {len(self.standings)} configurations tie with the best"
        said += f" ({constants} without any coefficient)" if constants else ""
        if self.simplest is self.best:
            return f"{said}, which is the simplest of them: {_described(self.best)}"
        return f"{said}; the simplest tied one is {_described(self.simplest)}"


def tie_summary(contenders: Sequence[Contender], *, metric: str, folds: int, test_train_ratio: float) -> TieSummary:
    """Compare every configuration with the best by the corrected resampled t-test, adjusted by Holm's method.

    A configuration ties unless its adjusted p-value is below 0.05. ``folds`` is their number in one repeat, and
    ``test_train_ratio`` that of the row counts. The scores must be of equal folds: see ``compare.runs``.

    Raises:
        ArtifactError: there is no configuration, or fewer than two folds.
    """
    if not contenders:
        raise ArtifactError("there is no configuration to compare")
    if (found := len(contenders[0].scores)) < 2:
        raise ArtifactError(f"{contenders[0].name} has the scores of {found} fold; a comparison needs at least 2")
    sign = -1.0 if metric in LOWER_IS_BETTER else 1.0
    ranked = sorted(contenders, key=lambda each: (-sign * float(each.scores.mean()), each.complexity))
    best = ranked[0].scores
    error = standard_error(best, folds)
    raw = np.array([corrected_t_test(each.scores - best, test_train_ratio) for each in ranked[1:]])
    standings = []
    for each, p_value in zip(ranked, [1.0, *holm(raw).tolist()], strict=True):
        difference = float(each.scores.mean() - best.mean())
        within = sign * difference >= -error
        standings.append(Standing(each, float(each.scores.mean()), difference, p_value, p_value >= ALPHA, within))
    return TieSummary(
        metric=metric,
        standings=tuple(standings),
        simplest=_simplest([each for each in standings if each.tied]),
        one_se=_simplest([each for each in standings if each.within_one_se]),
    )


def strength(c: float | None) -> float:
    """Inverse regularisation strength as a number: infinite without a penalty."""
    return math.inf if c is None else float(c)


def _simplest(standings: Sequence[Standing]) -> Contender:
    contenders = [each.contender for each in standings]
    return min((each for each in contenders if each.nonzero), key=_complexity, default=min(contenders, key=_complexity))


def _complexity(contender: Contender) -> tuple[int, float, int, str]:
    return contender.complexity


def _described(contender: Contender) -> str:
    return f"{contender.label} ({contender.nonzero} coefficient{'' if contender.nonzero == 1 else 's'})"
