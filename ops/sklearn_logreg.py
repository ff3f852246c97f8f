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
# ## Overview
#
# A run is a logistic regression on features of videos that are labelled real or fake, with its cross-validation. This
# notebook reads the folder of one run and shows, in this order:
#
# 1. the files that the run left, and the saved models;
# 2. its scores beside floors (baselines): rules that use no feature;
# 3. frames of four videos, and what the model says about them;
# 4. curves, confusion matrices, calibration, coefficients, folds and scores of each class;
# 5. the same numbers by SQL.
#
# ## How to train
#
# In a terminal, in the folder of the project:
#
#     python run.py penalty=elasticnet C=0.1                        # the demo corpus; made on first use
#     python run.py data=videos data.root=/where/they/lie C=0.1     # your own videos, in real/ and fake/
#
# or here: `run = fvc_exp.run(["penalty=elasticnet", "C=0.1"])`. The notebook takes the training run of this checkout
# that ended last, or the folder that the variable `FVC_RUN` names.
#
# ## Limits
#
# - The scores are those of one collection of videos. They may not hold for other platforms, years or events.
# - A score counts only as far as it is above the floors, and only if the audit says PASS.
# - A probability is no evidence about a single video.
# - The demo corpus is synthetic: its scores say nothing about real videos.
#
# `fvc report RUN` writes the report of the run, with the limits of its features and all that is known about its data.

# %%
import builtins
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


def short(path: str | Path) -> str:
    """The path as seen from the working folder, if that is shorter."""
    return min(os.path.relpath(path), str(path), key=len)


# A table is a table in a notebook, and text in a script.
show = getattr(builtins, "display", print)
pl.Config(tbl_rows=-1, tbl_cols=-1, tbl_width_chars=140, fmt_str_lengths=90, float_precision=3)
pl.Config(tbl_hide_dataframe_shape=True, tbl_hide_column_data_types=True)
print(short(RUN))

# %% [markdown]
# ## What it left
#
# A run is finished when `status.json` says so: that file is written last.

# %%
results = run.results
print(f"{run.status['state']}, run id {results['run_id']}")
files = sorted(path for path in RUN.iterdir() if path.is_file())
show(pl.DataFrame({"file": [path.name for path in files], "bytes": [path.stat().st_size for path in files]}))

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
# `CV` is the mean over the folds with their standard deviation (sd), `held out` are the groups that no fold has seen.
# The floors need no feature at all: a number that does not beat them says nothing.

# %%
floors = results["floors"]["cv"]
scores = [
    {
        "metric": metric,
        "CV mean": found["mean"],
        "CV sd": found["std"],
        "held out": (results["test"] or {}).get(metric),  # null without a held-out part, or where it is undefined
        **{f"floor: {name}": floor[metric] for name, floor in floors.items()},
    }
    for metric, found in results["cv"].items()
]
show(pl.DataFrame(scores, infer_schema_length=None))
audit = results["audit"]
print("audit:", audit["verdict"], *audit["reasons"], *audit["warnings"], sep="\n  ")
print("flags:", ", ".join(results["flags"]) or "none")

# %% [markdown]
# ## Some videos and what the model says
#
# Two fakes and two real ones of four different groups, from the held-out part as far as it has them. The pictures are
# the first, middle and last of the frames that were measured.

# %%
videos = run_videos(RUN)
there = videos.filter(exists=True).sort(pl.col("split") != "test", maintain_order=True)
samples = there.unique("group", keep="first", maintain_order=True).group_by("label", maintain_order=True).head(2)
# The command, not fvc_exp.runs.predict: its worker processes would import this file again where it runs as a script.
command = [sys.executable, "-m", "fvc_exp", "predict", str(RUN), *samples["file"], "--json"]
done = subprocess.run(command, capture_output=True, text=True, check=False) if len(samples) else None
found = json.loads(done.stdout) if done else []
said = [
    {
        "video": short(each["video"]),
        "group": group,
        "split": split,
        "label": label,
        "model says": each["decision"] or each["error"],
        "probability of fake": each["probability"],
    }
    for each, group, split, label in zip(found, *samples.select("group", "split", "label"), strict=True)
]
show(pl.DataFrame(said, infer_schema_length=None))
for each in found:
    for warning in each["warnings"]:
        print(f"{Path(each['video']).name}: {warning}")

for truth, file, prediction in zip(samples["label"], samples["file"], found, strict=True):
    frames = measured_frames(RUN, Path(file))
    figure, row = plt.subplots(1, 3, figsize=(9, 2.4), layout="constrained")
    for axes, frame in zip(row, (frames[0], frames[len(frames) // 2], frames[-1]), strict=True):
        axes.imshow(frame)
        axes.axis("off")
    probability = prediction["probability"]
    what = prediction["error"] if probability is None else f"probability of fake {probability:.3f}"
    figure.suptitle(f"{Path(file).name}: {what}; its label is {truth}", fontsize=10)
    plt.show()

# %% [markdown]
# To play one of them here, type this into a new cell. `embed=True` copies the video into the notebook, which also works
# for files outside of its folder. Browsers play H.264, VP9 and AV1; of other videos the frames above are what there is.
#
#     from IPython.display import Video
#     Video(samples["file"][0], embed=True, width=480)

# %% [markdown]
# ## ROC and precision-recall
#
# One curve per fold, and the held-out part, scored once by the final model.

# %%
predictions = run.predictions.with_columns(fake=pl.col("label") == "fake")
out_of_fold, held_out = predictions.filter(split="cv"), predictions.filter(split="test")
parts = {"out of fold": out_of_fold, "held out": held_out} if len(held_out) else {"out of fold": out_of_fold}
# a fold with one class has no curve
folds = [rows for rows in out_of_fold.partition_by("repeat", "fold") if rows["fake"].n_unique() == 2]
auc = results["cv"]["auc"]
labels = [f"one fold each, mean AUC {auc['mean']:.3f}", *[None] * len(folds)]
curves = [(rows, "0.75", 1, label) for rows, label in zip(folds, labels, strict=False)]
if len(held_out):
    curves.append((held_out, "tab:red", 3, f"held out, AUC {results['test']['auc']:.3f}"))

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.6), layout="constrained")
for rows, color, width, label in curves:
    false_rate, true_rate, _ = roc_curve(rows["fake"], rows["probability"])
    left.plot(false_rate, true_rate, color=color, linewidth=width, label=label)
    precision, recall, _ = precision_recall_curve(rows["fake"], rows["probability"])
    right.plot(recall, precision, color=color, linewidth=width, label=label and label.split(",")[0])
left.plot([0, 1], [0, 1], "k:", label="guessing")
left.set(title="ROC", xlabel="false positive rate", ylabel="true positive rate")
left.legend(loc="lower right")
right.axhline(out_of_fold["fake"].mean(), color="black", linestyle=":", label="guessing: the share of fakes")
right.set(title="Precision-recall", xlabel="recall", ylabel="precision", ylim=(0, 1.05))
right.legend(loc="lower left")
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
axes.plot([0, 1], [0, 1], "k:", label="perfectly calibrated")
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
axes.hlines(
    largest_last["feature"], largest_last["low"], largest_last["high"], color="0.6", label="range over the folds"
)
axes.plot(largest_last["coefficient"], largest_last["feature"], "o", color="tab:blue", label="final model")
axes.axvline(0, color="black", linestyle=":", label="no effect")
axes.set(title=f"The {len(coefficients)} largest coefficients", xlabel="log odds of fake per standard deviation")
axes.legend()
plt.show()

# %% [markdown]
# ## Fold by fold

# %%
figure, axes = plt.subplots(figsize=(9, 4), layout="constrained")
shown = ["auc", "average_precision", "f1", "balanced_accuracy", "accuracy"]
scores = [run.metrics[f"test_{metric}"].drop_nulls() for metric in shown]
places = np.arange(len(shown))
axes.plot(
    np.repeat(places, [len(each) for each in scores]), np.concatenate(scores), "o", color="0.6", label="one fold each"
)
means, deviations = ([results["cv"][metric][what] or 0 for metric in shown] for what in ("mean", "std"))
axes.errorbar(places, means, deviations, fmt="D", color="tab:blue", capsize=6, label="mean ± standard deviation")
prior = [floors["prior"][metric] for metric in shown]
axes.hlines(prior, places - 0.25, places + 0.25, color="black", linestyle=":", label="floor: prior")
axes.set(title="Scores of the folds", xticks=places, xticklabels=shown)
axes.legend()
plt.show()

# %% [markdown]
# ## Scores of each class

# %%
figure, row = plt.subplots(1, len(parts), figsize=(5 * len(parts), 3.6), squeeze=False, layout="constrained")
for axes, (name, rows) in zip(row[0], parts.items(), strict=True):
    for is_fake, label, color in ((False, "real", "tab:blue"), (True, "fake", "tab:red")):
        of_class = rows.filter(fake=is_fake)["probability"]
        axes.hist(of_class, bins=np.linspace(0, 1, 21), alpha=0.6, color=color, label=f"{label} ({len(of_class)})")
    axes.axvline(results["threshold"]["final"], color="black", linestyle=":", label="threshold")
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
        show(analytics.query("SELECT count(*) AS folds, avg(test_auc) AS auc, stddev(test_auc) AS sd FROM folds"))
        # the groups that are most wrong, with the model that has not seen them
        wrong = """
            SELECT "group", label, count(*) AS videos, avg(abs(probability - (label = 'fake')::INT)) AS error
            FROM predictions GROUP BY ALL ORDER BY error DESC, "group" LIMIT 5
        """
        show(analytics.query(wrong))
except MissingExtraError as error:
    print(f"left out: {error}")
