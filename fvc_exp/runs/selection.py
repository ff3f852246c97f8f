"""What is known of a run because it was chosen from several by its score."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from fvc_exp.config.schema import Choice


@dataclass(frozen=True)
class Selection:
    """From how many configurations a run was chosen by mean AUC, and whether its C is at the edge of those tried."""

    of: int
    edge_of_grid: bool = False
    choice: Choice = Choice.best

    def applied(self, results: Mapping[str, Any], predictions: pl.DataFrame) -> dict[str, Any]:
        """The content of ``results.json`` of the chosen run: its claim is that of the best of so many.

        Nothing changes where there was nothing to choose from.
        """
        from fvc_exp.evaluation import claims  # scikit-learn, which planning a sweep has no use for

        if self.of == 1:
            return dict(results)
        claim = claims.claim_against_floor(predictions, "auc", selected_from=self.of)
        flags = dict.fromkeys((*results["flags"], *(["edge_of_grid"] if self.edge_of_grid else [])))
        found = {"of": self.of, "by": "auc", "p_value": claim.p_value if claim else None}
        found |= {"edge_of_grid": self.edge_of_grid, "sentence": self._sentence(results)}
        made = claims.claim_json(claim, results["audit"]["verdict"])
        return {**results, "claim": made, "flags": list(flags), "selection": found}

    def _sentence(self, results: Mapping[str, Any]) -> str:
        test, mean = results["test"], results["cv"]["auc"]["mean"]
        held_out = f"Held-out AUC {test['auc']:.3f}, not used for the choice" if test else "No rows were held out"
        what = "Best" if self.choice is Choice.best else "Simplest near the best"
        return f"{held_out}. {what} of {self.of} configurations by cross-validated AUC: its {mean:.3f} is optimistic."
