"""The embedded demo corpus: real mp4 files with known labels and known manipulations, made on first use."""

from fvc_exp.demo.corpus import DemoSettings, ensure_demo

__all__ = ["DemoSettings", "ensure_demo"]
