"""What a user would write, to compare with: ``python plain_script.py TABLE SOLVER L1_RATIO``, five folds of one model.

``python plain_script.py TABLE`` is the grid search.
"""

import sys

import numpy as np
import polars as pl
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

path, *chosen = sys.argv[1:]
table = pl.read_parquet(path)
values = table.select(pl.selectors.float()).to_numpy()
labels = (table["label"] == "fake").to_numpy().astype(np.int64)
groups = table["group"].to_numpy()
if chosen:
    solver, l1_ratio = chosen[0], float(chosen[1])
    scores = []
    for train, test in GroupKFold(5).split(values, labels, groups):
        classifier = LogisticRegression(solver=solver, l1_ratio=l1_ratio, max_iter=1000)
        model = make_pipeline(StandardScaler(), classifier).fit(values[train], labels[train])
        probability = model.predict_proba(values[test])[:, 1]
        scores.append((roc_auc_score(labels[test], probability), log_loss(labels[test], probability)))
    print(np.mean(scores, axis=0))
else:
    model = make_pipeline(StandardScaler(), LogisticRegression(solver="saga", max_iter=1000))
    grid = {
        "logisticregression__C": [0.01, 0.1, 1, 10],
        "logisticregression__l1_ratio": [0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0],
    }
    search = GridSearchCV(model, grid, scoring=("roc_auc", "neg_log_loss"), refit="roc_auc", cv=GroupKFold(5), n_jobs=2)
    search.fit(values, labels, groups=groups)
    print(search.best_params_, search.best_score_)
