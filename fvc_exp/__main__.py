"""``python -m fvc_exp`` is ``fvc``."""

from fvc_exp.cli import app

if __name__ == "__main__":  # the workers that measure videos import this file too
    app(prog_name="fvc")
