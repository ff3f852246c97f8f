"""What ``fvc track`` imported, in MLflow's own pages, served by the command that docs/ecosystem.md names."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import write_tables
from tests.shell import ROOT, run_py_process, succeeded
from tests.sweeps.conftest import FAST
from tests.tracking.conftest import skip_without_mlflow
from tests.tracking.servers import mlflow_command

pytestmark = pytest.mark.browser
SECONDS = 120  # a page of MLflow is several megabytes of script
STORE = ("ui", "--backend-store-uri", "sqlite:///outputs/mlflow/mlflow.db")
SWEEP = ("penalty=l1", "C=0.1,1", "sweep.name=mine", "tracking=mlflow")


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A sweep that imported itself, and MLflow's pages of it."""
    skip_without_mlflow(fail_in_ci=True)
    folder = tmp_path_factory.mktemp("pages")
    write_tables(folder)
    succeeded(run_py_process("-m", "data=fvc", f"data.root={folder}", FAST, *SWEEP, cwd=folder))
    with mlflow_command(*STORE, cwd=folder) as url:
        yield url


def test_the_readme_names_this_command() -> None:
    command = f"mlflow {' '.join(STORE)} --host 127.0.0.1 --port 5000"
    assert command in (ROOT / "docs" / "ecosystem.md").read_text()


def shows(browser: Any, *texts: str) -> None:
    """Wait until the page holds these texts."""
    from selenium.webdriver.support.ui import WebDriverWait

    def missing(driver: Any) -> list[str]:
        text = driver.execute_script("return document.body.innerText")
        return [each for each in texts if each not in text]

    WebDriverWait(browser, SECONDS).until(lambda driver: not missing(driver), f"missing: {texts}")


def click(browser: Any, path: str) -> None:
    """Click what an XPath finds, once it is there; at once, since MLflow replaces elements while it loads."""
    from selenium.webdriver.support.ui import WebDriverWait

    script = """const found = document.evaluate(arguments[0], document, null, 9, null).singleNodeValue;
        found?.click(); return found !== null"""
    WebDriverWait(browser, SECONDS).until(lambda driver: driver.execute_script(script, path), f"missing: {path}")


def opened_experiment(browser: Any) -> str:
    """The number in the address of its page."""
    from selenium.webdriver.support.ui import WebDriverWait

    found = WebDriverWait(browser, SECONDS).until(lambda driver: re.search(r"/experiments/(\d+)", driver.current_url))
    return str(found[1])


def test_from_the_experiment_to_an_artifact(browser: Any, pages: str) -> None:
    browser.set_window_size(1600, 1000)
    browser.get(f"{pages}/#/experiments")
    shows(browser, "fvc-exp")
    click(browser, "//a[normalize-space()='fvc-exp']")
    runs = f"{pages}/#/experiments/{opened_experiment(browser)}/runs"
    browser.get(runs)
    shows(browser, "mine", "3 matching runs")
    click(browser, "//*[@role='gridcell'][.//a[normalize-space()='mine']]//button")  # unfolds the children
    shows(browser, "C=0.1", "C=1")
    click(browser, "//a[normalize-space()='C=0.1']")
    shows(browser, "cv/auc_mean", "penalty", "prox-newton", "Audit ")
    browser.get(browser.current_url.partition("?")[0].rstrip("/") + "/artifacts")
    shows(browser, "metrics.json", "model.json")
    click(browser, "(//*[contains(text(), 'results.json')])[last()]")
    shows(browser, '"run_id"')
    browser.get(runs)
    click(browser, "//a[normalize-space()='mine']")
    shows(browser, "fvc.axes", "C=0.1,1")
    browser.get(browser.find_element("xpath", "//li//a[normalize-space()='C=0.1']").get_attribute("href"))  # the best
    shows(browser, "cv/auc_mean")
