"""``python -m fvc_exp.cli`` is ``fvc``."""

from fvc_exp.cli.app import app

app(prog_name="fvc")
