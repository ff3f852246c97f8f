"""In a checkout, ``python run.py ...`` is ``fvc run ...``; see README.md."""

from fvc_exp.cli.main import main

if __name__ == "__main__":
    main()
