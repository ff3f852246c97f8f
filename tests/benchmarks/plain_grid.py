"""The grid search that a user would write, to compare with: ``python plain_grid.py TABLE``."""

import sys

import numpy as np
import polars as pl
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

table = pl.read_parquet(sys.argv[1])
values = table.select(pl.selectors.float()).to_numpy()
labels = (table["label"] == "fake").to_numpy().astype(np.int64)
model = make_pipeline(StandardScaler(), LogisticRegression(solver="saga", max_iter=1000))
grid = {
    "logisticregression__C": [0.01, 0.1, 1, 10],
    "logisticregression__l1_ratio": [0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0],
}
search = GridSearchCV(model, grid, scoring=("roc_auc", "neg_log_loss"), refit="roc_auc", cv=GroupKFold(5), n_jobs=2)
search.fit(values, labels, groups=table["group"].to_numpy())
print(search.best_params_, search.best_score_)
