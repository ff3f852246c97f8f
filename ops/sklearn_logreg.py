# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # One run, looked at closely
#
# The run is the folder in `FVC_RUN`, or else the training run of this checkout that ended last.

# %%
import json
import os
import subprocess
import sys
from pathlib import Path

import joblib
import matplotlib.pyplot as plt
import numpy as np
import polars as pl
from sklearn.metrics import ConfusionMatrixDisplay, precision_recall_curve, roc_curve

import fvc_exp
from fvc_exp import DuckDBAnalytics
from fvc_exp.errors import FvcError, MissingExtraError
from fvc_exp.runs.load import newest_run
from fvc_exp.runs.plots import INTERCEPT, SMALLEST_BIN, coefficient_table
from fvc_exp.runs.predict import measured_frames, run_videos

try:
    RUN = Path(os.environ.get("FVC_RUN") or newest_run(Path(fvc_exp.__file__).parents[1] / "outputs" / "runs"))
    run = fvc_exp.load_run(RUN)
except FvcError as error:
    sys.exit(f"error: {error}; a training run is made by run.py and named by FVC_RUN")
print(RUN)

# %% [markdown]
# ## What it left
#
# A run is finished when `status.json` says so: that file is written last.

# %%
results = run.results
print(f"{run.status['state']}, run id {results['run_id']}")
for file in sorted(path for path in RUN.iterdir() if path.is_file()):
    print(f"{file.stat().st_size:>9,} bytes  {file.name}")

# %% [markdown]
# ## The saved models
#
# `model.joblib` and `scaler.joblib` are pickles: load only those that you wrote yourself. `model.json` holds imputer,
# scaler and model as plain numbers, and reading it can run no code. Both must give the same probabilities.

# %%
classifier, scaler = joblib.load(RUN / "model.joblib"), joblib.load(RUN / "scaler.joblib")
print(classifier, scaler, run.pipeline, sep="\n")

X = np.random.default_rng(0).normal(scaler.mean_, scaler.scale_, (1000, scaler.n_features_in_))
table = pl.DataFrame(X, schema=list(run.model.names))
scaler.set_output(transform="polars")
difference = classifier.predict_proba(scaler.transform(table)) - run.pipeline.predict_proba(table)
print(f"largest difference of 1000 probabilities: {np.abs(difference).max():.1e}")

# %% [markdown]
# ## Performance
#
# `CV` is the mean over folds ± their standard deviation, `held out` the groups that no fold has seen. The floors need
# no feature at all: a number that does not beat them says nothing.

# %%
floors = results["floors"]["cv"]
print(f"{'metric':<18} {'CV':>15} {'held out':>9}", *(f"{name:>13}" for name in floors))
for metric, found in results["cv"].items():
    # without a held-out part there is no such column, and a metric may be undefined there
    held_out = (results["test"] or {}).get(metric)
    shown = "-" if held_out is None else f"{held_out:.3f}"
    spread = f"{found['mean']:.3f} ± {found['std']:.3f}"
    print(f"{metric:<18} {spread:>15} {shown:>9}", *(f"{floor[metric]:>13.3f}" for floor in floors.values()))
audit = results["audit"]
print("audit:", audit["verdict"], *audit["reasons"], *audit["warnings"], sep="\n  ")
print("flags:", ", ".join(results["flags"]) or "none")

# %% [markdown]
# ## Some videos and what the model says
#
# Two fakes and two real ones, of the held-out part if there is one. The pictures are the first, middle and last of the
# frames that were measured.

# %%
videos = run_videos(RUN)
there = videos.filter(exists=True).sort(pl.col("split") != "test", maintain_order=True)
samples = there.group_by("label", maintain_order=True).head(2)
# The command, not fvc_exp.runs.predict: its worker processes would import this file again where it runs as a script.
command = [sys.executable, "-m", "fvc_exp.cli", "predict", str(RUN), *samples["file"], "--json"]
done = subprocess.run(command, capture_output=True, text=True, check=False) if len(samples) else None
found = json.loads(done.stdout) if done else []
for each in found:
    print(f"{each['video']}: {each['decision'] or each['error']}", *each["warnings"], sep="\n  ")

for truth, file, prediction in zip(samples["label"], samples["file"], found, strict=True):
    frames = measured_frames(RUN, Path(file))
    figure, row = plt.subplots(1, 3, figsize=(9, 2.4), layout="constrained")
    for axes, frame in zip(row, (frames[0], frames[len(frames) // 2], frames[-1]), strict=True):
        axes.imshow(frame)
        axes.axis("off")
    probability = prediction["probability"]
    said = prediction["error"] if probability is None else f"probability of fake {probability:.3f}"
    figure.suptitle(f"{Path(file).name}: {said}; it is {truth}", fontsize=10)
    plt.show()

# %% [markdown]
# ## ROC and precision-recall
#
# Grey: one fold each. Red: the held-out part, scored once by the final model. Dotted: guessing.

# %%
predictions = run.predictions.with_columns(fake=pl.col("label") == "fake")
out_of_fold, held_out = predictions.filter(split="cv"), predictions.filter(split="test")
parts = {"out of fold": out_of_fold, "held out": held_out} if len(held_out) else {"out of fold": out_of_fold}
# a fold with one class has no curve
curves = [
    (rows, "0.75", 1, None) for rows in out_of_fold.partition_by("repeat", "fold") if rows["fake"].n_unique() == 2
]
if len(held_out):
    curves.append((held_out, "tab:red", 3, f"held out, AUC {results['test']['auc']:.3f}"))

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.6), layout="constrained")
for rows, color, width, label in curves:
    false_rate, true_rate, _ = roc_curve(rows["fake"], rows["probability"])
    left.plot(false_rate, true_rate, color=color, linewidth=width, label=label)
    precision, recall, _ = precision_recall_curve(rows["fake"], rows["probability"])
    right.plot(recall, precision, color=color, linewidth=width)
auc = results["cv"]["auc"]
left.plot([0, 1], [0, 1], "k:", label=f"guessing; folds: AUC {auc['mean']:.3f} ± {auc['std']:.3f}")
left.set(title="ROC", xlabel="false positive rate", ylabel="true positive rate")
left.legend(loc="lower right")
right.axhline(out_of_fold["fake"].mean(), color="black", linestyle=":")
right.set(title="Precision-recall", xlabel="recall", ylabel="precision", ylim=(0, 1.05))
plt.show()

# %% [markdown]
# ## Which are confused

# %%
figure, row = plt.subplots(1, len(parts), figsize=(4.5 * len(parts), 4), squeeze=False, layout="constrained")
for axes, (name, rows) in zip(row[0], parts.items(), strict=True):
    ConfusionMatrixDisplay.from_predictions(
        rows["fake"], rows["predicted"] == 1, display_labels=["real", "fake"], cmap="Blues", colorbar=False, ax=axes
    )
    axes.set_title(name)
plt.show()

# %% [markdown]
# ## Are the probabilities honest
#
# Bins of about equal numbers of videos, without those of fewer than 5. On the diagonal a probability of 0.7 is right
# seven times in ten.

# %%
calibration = results["calibration"]
figure, axes = plt.subplots(figsize=(5, 5), layout="constrained")
axes.plot([0, 1], [0, 1], "k:")
for name, found_bins in (("out of fold", calibration["cv"]), ("held out", calibration["test"])):
    if found_bins:
        bins = pl.DataFrame(found_bins["curve"]).filter(pl.col("count") >= SMALLEST_BIN)
        label = f"{name}, ECE {found_bins['ece']:.3f}, Brier {found_bins['brier']:.3f}"
        axes.plot(bins["probability"], bins["fakes"], "o-", label=label)
axes.set(
    title="Calibration", xlabel="mean probability of fake", ylabel="share of fakes", xlim=(0, 1), ylim=(-0.03, 1.03)
)
axes.legend()
plt.show()

# %% [markdown]
# ## Coefficients
#
# Of standardised features, in log odds of fake per standard deviation. The line spans the models of all folds: where it
# crosses 0, the folds do not agree on the sign.

# %%
coefficients = coefficient_table(run.coefficients).filter(pl.col("feature") != INTERCEPT).head(20)
largest_last = coefficients.reverse()
figure, axes = plt.subplots(figsize=(8, 1 + 0.28 * len(coefficients)), layout="constrained")
axes.hlines(largest_last["feature"], largest_last["low"], largest_last["high"], color="0.6")
axes.plot(largest_last["coefficient"], largest_last["feature"], "o", color="tab:blue")
axes.axvline(0, color="black", linestyle=":")
axes.set(title="Coefficients and their range over the folds", xlabel="log odds of fake per standard deviation")
plt.show()

# %% [markdown]
# ## Fold by fold

# %%
figure, axes = plt.subplots(figsize=(9, 4), layout="constrained")
shown = ["auc", "average_precision", "f1", "balanced_accuracy", "accuracy"]
for place, metric in enumerate(shown):
    scores = run.metrics[f"test_{metric}"].drop_nulls()
    axes.plot([place] * len(scores), scores, "o", color="0.6")
    axes.errorbar(
        place, results["cv"][metric]["mean"], results["cv"][metric]["std"], fmt="D", color="tab:blue", capsize=6
    )
    axes.plot([place - 0.25, place + 0.25], [floors["prior"][metric]] * 2, color="black", linestyle=":")
axes.set(
    title="Folds (grey), mean ± sd (blue), floor of the prior (dotted)", xticks=range(len(shown)), xticklabels=shown
)
plt.show()

# %% [markdown]
# ## Scores of each class

# %%
figure, row = plt.subplots(1, len(parts), figsize=(5 * len(parts), 3.6), squeeze=False, layout="constrained")
for axes, (name, rows) in zip(row[0], parts.items(), strict=True):
    for is_fake, label, color in ((False, "real", "tab:blue"), (True, "fake", "tab:red")):
        of_class = rows.filter(fake=is_fake)["probability"]
        axes.hist(of_class, bins=np.linspace(0, 1, 21), alpha=0.6, color=color, label=f"{label} ({len(of_class)})")
    axes.axvline(results["threshold"]["final"], color="black", linestyle=":")
    axes.set(title=name, xlabel="probability of fake", ylabel="videos")
    axes.legend()
plt.show()

# %% [markdown]
# ## SQL
#
# Each file of a run is a table for DuckDB, of the extra `analytics`. `fvc query` does the same over all runs.

# %%
try:
    with DuckDBAnalytics() as analytics:
        analytics.register_parquet("folds", RUN / "metrics.json")
        analytics.register_parquet("predictions", RUN / "predictions.parquet")
        print(analytics.query("SELECT count(*) AS folds, avg(test_auc) AS auc, stddev(test_auc) AS sd FROM folds"))
        # the groups that are most wrong, with the model that has not seen them
        wrong = """
            SELECT "group", label, count(*) AS videos, avg(abs(probability - (label = 'fake')::INT)) AS error
            FROM predictions GROUP BY ALL ORDER BY error DESC, "group" LIMIT 5
        """
        print(analytics.query(wrong))
except MissingExtraError as error:
    print(f"left out: {error}")
