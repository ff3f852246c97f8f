"""The words of the audit: its checks by their stable codes, and the mark beside a score."""

from collections.abc import Mapping
from typing import Any

CODES = {
    "group_crossing": "videos of one group are in both training and test",
    "same_file": "the same file is in both training and test, under two names",
    "near_copies": "videos of other groups have the same features in training and test, or nearly so",
    "label_lookup": "looking up the label of the same group in training beats the base rate",
    "leaky_null": "labels permuted between groups are learned better than by guessing",
    "single_feature": "one feature alone tells the classes apart",
    "blank_rows": "videos have one and the same value in every feature; they are not looked at as copies",
}
GROUPS_UNKNOWN = "groups_unknown: no column names groups: copies of one video may stand on both sides"


def audit_mark(audit: Mapping[str, Any]) -> str:
    """Verdict and number of warnings, such as ``PASS, 1 warning``, of the ``audit`` in ``results.json``."""
    count = len(audit["warnings"])
    return str(audit["verdict"]) + (f", {count} warning{'s' * (count > 1)}" if count else "")
