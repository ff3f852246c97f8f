"""Commands about runs: making them, and what can be learned from finished ones."""

import sys
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from fvc_exp.cli.app import Exit, JsonOption, a_folder, app, command, print_json
from fvc_exp.errors import ConfigError
from fvc_exp.io import console, files

_RAW_HELP = "in CSV, no ' before texts that a spreadsheet would take for a formula"
RawOption = Annotated[bool, typer.Option("--raw", help=_RAW_HELP)]
RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="folder of a finished run")]

_DATA_ROOT_HELP = "where its data lies now; for a run from elsewhere"
DataRootOption = Annotated[Path | None, typer.Option(metavar="FOLDER", parser=a_folder, help=_DATA_ROOT_HELP)]


# What ``fvc export`` can write.
ModelFormat = StrEnum("ModelFormat", "skops")


def _completions(context: typer.Context, incomplete: str) -> list[str]:
    from fvc_exp.cli.main import completions

    return completions(context.params["words"] or (), incomplete)


@app.command("run", add_help_option=False, context_settings={"ignore_unknown_options": True})
def make_runs(
    words: Annotated[list[str] | None, typer.Argument(metavar="KEY=VALUE...", autocompletion=_completions)] = None,
) -> None:
    """Train and judge a model, or with -m a sweep of them. fvc run --help lists the settings.

    Example: fvc run penalty=elasticnet C=0.1
    """
    from fvc_exp.cli.main import main  # Hydra, which no other command needs

    sys.argv = ["fvc run", *(words or ())]
    main()


@command
def predict(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="folder of a run, below outputs/runs")],
    videos: Annotated[list[str], typer.Argument(metavar="VIDEO...", help="files, folders or patterns")],
    as_json: JsonOption = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="print CSV")] = False,
    raw: RawOption = False,
) -> Exit:
    """Give each video its probability of being fake, by the model of a run.

    Exit code 0 if all videos could be measured, else 1.

    Example: fvc predict outputs/runs/2026-11-23_08-52-50-322619-8886 clip.mp4 folder/ '*.webm'
    """
    from fvc_exp.runs import predict as prediction

    if as_json and as_csv:
        raise ConfigError("--json and --csv exclude each other: choose one")
    with console.progress_bar("videos") as on_progress:
        found = prediction.predict(run, videos, on_progress)
    if as_json:
        print_json([asdict(each) for each in found])
    elif as_csv:
        typer.echo(prediction.as_csv(found, raw=raw), nl=False)
    else:
        for each in found:
            typer.echo(str(each))
    return Exit.FAILED if any(each.error for each in found) else Exit.OK


@command
def export(
    run: RunArgument,
    _to: Annotated[ModelFormat, typer.Option("--to", help="format")],
    output: Annotated[Path | None, typer.Option(metavar="FILE", help="where to; default: model.skops in RUN")] = None,
) -> Exit:
    """Write the model of a run for another program; skops is scikit-learn's Pipeline in a file without pickles.

    Example: fvc export outputs/runs/2026-11-23_08-52-50-322619-8886 --to skops
    """
    from fvc_exp.runs import artifacts, load

    typer.echo(artifacts.export_skops(load.require_finished(run), output))
    return Exit.OK


@command
def audit(
    ids: Annotated[Path, typer.Option(help="table: video_path[, label, group, content_sha256]")],
    folds: Annotated[Path, typer.Option(help="table: video_path, fold[, repeat, split]")],
    as_json: JsonOption = False,
) -> Exit:
    """Audit a split made by any program: does anything link its training and test videos?

    Exit code 1 if it fails, else 0, also where it is UNCHECKED since groups are not known.

    Example: fvc audit --ids table.parquet --folds folds.parquet
    """
    from fvc_exp.evaluation.leakage.external import audit_files
    from fvc_exp.runs.show import audit_facts

    found, notes = audit_files(ids, folds)
    if as_json:
        print_json({**found.to_json(), "notes": notes})
    else:
        output = console.make_console()
        for label, text, style in (*(("note", note, "yellow") for note in notes), *audit_facts(found.summary())):
            console.print_text(output, text, style, label=label)
    return Exit.FAILED if found.verdict == "FAIL" else Exit.OK


@command
def query(
    sql: Annotated[str, typer.Argument(metavar="SQL", help="one SELECT; SHOW TABLES names the tables")],
    folder: Annotated[
        Path, typer.Argument(metavar="[FOLDER]", parser=a_folder, help="where runs lie, at any depth")
    ] = Path("outputs"),
    as_json: JsonOption = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="print CSV")] = False,
    parquet: Annotated[Path | None, typer.Option(metavar="FILE", help="write parquet instead of printing")] = None,
    save: Annotated[
        Path | None, typer.Option(metavar="FILE.duckdb", help="also write all tables, for other tools")
    ] = None,
    timeout: Annotated[float, typer.Option(min=0, metavar="SECONDS", help="how long the statement may run")] = 60.0,
    raw: RawOption = False,
) -> Exit:
    """Query all runs of a folder with SQL. Needs the extra analytics.

    At most 1,000 rows are printed as a table; --csv, --json and --parquet give all. The result may take 2 GB.

    Example: fvc query "SELECT run, data, audit, C, cv_auc_mean FROM runs ORDER BY cv_auc_mean DESC LIMIT 5"
    """
    from fvc_exp.analytics.sql import print_frame
    from fvc_exp.analytics.views import query_runs
    from fvc_exp.io import tables

    if sum((as_json, as_csv, parquet is not None)) > 1:
        raise ConfigError("--json, --csv and --parquet exclude each other: choose one")
    found = query_runs(sql, folder, save, timeout)
    if parquet is not None:
        files.write_bytes(parquet, tables.parquet_bytes(found))
    elif as_json:
        typer.echo(found.write_json())
    elif as_csv:
        typer.echo(tables.csv_text(found, raw=raw), nl=False)
    else:
        print_frame(found, console.make_console())
    return Exit.OK


@command
def pack(
    run: RunArgument,
    output: Annotated[Path | None, typer.Option(metavar="FILE", help="where to; default: RUN.fvcpack")] = None,
    data_root: DataRootOption = None,
) -> Exit:
    """Write a run and the rows that it used into one file, whose numbers fvc verify FILE derives on any machine.

    It holds names, labels, groups and features of the rows, folds, configuration, versions, coefficients and results.

    Example: fvc pack outputs/runs/2026-11-23_08-52-50-322619-8886 --output proof.fvcpack
    """
    from fvc_exp.runs.load import require_finished
    from fvc_exp.runs.pack import write_pack

    typer.echo(write_pack(require_finished(run), output, data_root))
    return Exit.OK


@command
def verify(
    run: Annotated[Path, typer.Argument(metavar="RUN|FILE", help="folder of a finished run, or a file of fvc pack")],
    data_root: DataRootOption = None,
    as_json: JsonOption = False,
) -> Exit:
    """Run again from the stored configuration and compare data, folds, coefficients and metrics bit by bit.

    Exit code 0 if nothing differs, else 1; the first differences and the packages that changed are named. A run from
    elsewhere is data: only what lies in the working folder or in --data-root is read. A FILE needs nothing beside it;
    where packages or processor are others than those of the run, it is compared within a tolerance.

    Example: fvc verify outputs/runs/2026-11-23_08-52-50-322619-8886
    """
    from fvc_exp.runs.pack import verify_pack
    from fvc_exp.runs.verify import verify as verify_run

    found = verify_run(run, data_root) if run.is_dir() else verify_pack(run)
    if as_json:
        print_json(asdict(found))
    else:
        typer.echo(str(found))
    return Exit.FAILED if found.differences else Exit.OK


@command
def compare(
    folders: Annotated[list[Path], typer.Argument(metavar="RUN|SWEEP...", help="folders of finished runs or sweeps")],
    metric: Annotated[str, typer.Option(help="which metric of the folds to compare")] = "auc",
    as_json: JsonOption = False,
) -> Exit:
    """Show which configurations tie with the best, which tied one is the simplest, and which beat the floor.

    Only runs with equal data, cv and seed can be compared.

    Example: fvc compare outputs/sweeps/penalties --metric f1
    """
    from fvc_exp.runs import show
    from fvc_exp.runs.compare import comparison, ties

    found = comparison.compare(ties.runs_of(folders), metric)
    if as_json:
        print_json(found.to_json())
    else:
        show.print_comparison(console.make_console(), found)
    return Exit.OK


@command
def explain(
    run: RunArgument,
    replicates: Annotated[int, typer.Option(min=20, help="fits to resampled groups")] = 200,
    data_root: DataRootOption = None,
    as_json: JsonOption = False,
) -> Exit:
    """Find out what a run has learned: intervals, stable coefficients, importance, slices and the path over C.

    Trains it again from its stored configuration, and writes tables and a plot into RUN/insight.

    Example: fvc explain outputs/runs/2026-11-23_08-52-50-322619-8886 --replicates 500
    """
    from fvc_exp.runs.explain.explain import explain as explain_run

    with console.progress_bar("explain") as on_progress:
        found = explain_run(run, replicates=replicates, data_root=data_root, on_progress=on_progress)
    if as_json:
        print_json(found.to_json())
    else:
        output = console.make_console()
        for title, table in found.titled_tables():
            output.print(console.frame_table(table, title, floats=".3g"), "")
    return Exit.OK


@command
def report(
    folder: Annotated[Path, typer.Argument(metavar="RUN|SWEEP", help="folder of a finished run, or of a sweep")],
    output: Annotated[Path | None, typer.Option(metavar="FILE", help="where to; default: report.html there")] = None,
    checklist: Annotated[
        bool, typer.Option("--checklist", help="also checklist.md beside it: the REFORMS items, filled from the run")
    ] = False,
) -> Exit:
    """Write one HTML file with everything about a run or sweep, and MODEL_CARD.md beside the model.

    Exit code 0. The page needs no network and no other file; a sweep's card is that of its best/.

    Example: fvc report outputs/sweeps/penalties --output report.html
    """
    from fvc_exp.report.render import write_report

    for path in write_report(folder, output, checklist=checklist):
        typer.echo(path)
    return Exit.OK
