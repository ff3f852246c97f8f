"""The script that a user would write, to compare with: ``python plain_script.py TABLE SOLVER L1_RATIO``."""

import sys

import numpy as np
import polars as pl
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

path, solver, l1_ratio = sys.argv[1], sys.argv[2], float(sys.argv[3])
table = pl.read_parquet(path)
values = table.select(pl.selectors.float()).to_numpy()
labels = (table["label"] == "fake").to_numpy().astype(np.int64)
scores = []
for train, test in GroupKFold(5).split(values, labels, table["group"].to_numpy()):
    classifier = LogisticRegression(solver=solver, l1_ratio=l1_ratio, max_iter=1000)
    model = make_pipeline(StandardScaler(), classifier).fit(values[train], labels[train])
    probability = model.predict_proba(values[test])[:, 1]
    scores.append((roc_auc_score(labels[test], probability), log_loss(labels[test], probability)))
print(np.mean(scores, axis=0))
