"""What is no table, or is one that would be read wrongly without a word: told by the first bytes and the lines."""

import re
from collections.abc import Iterable
from pathlib import Path

from fvc_exp.errors import DataError

_CSV = "save it as parquet or as CSV in UTF-8"
_MAGIC = {
    b"\xff\xfe": "is UTF-16 text; save it as CSV in UTF-8 (pandas: encoding='utf-8')",
    b"\xfe\xff": "is UTF-16 text; save it as CSV in UTF-8 (pandas: encoding='utf-8')",
    b"PK\x03\x04": f"is an Excel workbook or a zip archive; unpack it, or {_CSV} (pandas: read_excel, then to_csv)",
    b"\xd0\xcf\x11\xe0": f"is an Excel workbook; {_CSV} (pandas: read_excel, then to_csv)",
    b"FEA1": "is a feather file of version 1; write it again as version 2, parquet or CSV",
    b"version https://git-lfs": "is a pointer of Git LFS and not the file; fetch it by: git lfs pull",
    **{bytes((0x80, version)): f"is a Python pickle, which is not opened as it may start programs; {_CSV} "
       "(pandas: read_pickle, then to_parquet)" for version in range(2, 6)},
}  # fmt: skip
_OTHER_SEPARATORS = (b";", b"\t", b"|", b":", b"^", b"~", b" ")


def refuse_foreign(source: Path, head: bytes) -> None:
    """Do nothing if a file may be CSV, as far as its first bytes tell; parquet and Arrow are told apart before.

    Raises:
        DataError: it is something else, named with what to do.
    """
    for magic, what in _MAGIC.items():
        if head.startswith(magic):
            raise DataError(f"{source}: {what}")
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if text.startswith(b"<"):
        raise DataError(f"{source}: is a web page (HTML) or XML, often sent in place of a file; download it again")
    if text.startswith((b"{", b"[")):
        raise DataError(f"{source}: is JSON; {_CSV} (pandas: read_json, then to_parquet)")
    if b"\0" in head:
        raise DataError(f"{source}: is neither parquet, Arrow IPC (feather) nor CSV in UTF-8")


def refuse_broken_lines(source: Path, lines: Iterable[bytes], separator: bytes = b",") -> None:
    """Do nothing if all rows of a CSV have as many fields as its header, of which there are several.

    From the first line on that ends inside quotes nothing is counted.

    Raises:
        DataError: its columns are separated by something else, or a row has too few or too many fields.
    """
    filled = (line for line in lines if line.strip())
    header = _unquoted(next(filled, b""))
    if separator not in header:
        _refuse_separator(source, header, next(filled, b""))
        return
    expected = header.count(separator)
    for row, line in enumerate(filled, start=1):
        if line.count(b'"') % 2:
            return
        if (found := (_unquoted(line) if b'"' in line else line).count(separator)) != expected:
            raise DataError(
                f"{source}: row {row} has {found + 1} field{'s' * (found > 0)}, but the header names {expected + 1}; "
                f"a value that is not known still needs its separator {separator.decode()!r}"
            )


def _unquoted(line: bytes) -> bytes:
    return re.sub(b'"[^"]*"', b"", line)


def _refuse_separator(source: Path, header: bytes, first: bytes) -> None:
    counts = {sign: header.strip().count(sign) for sign in _OTHER_SEPARATORS}
    likely = [sign.decode() for sign, count in counts.items() if 0 < count == _unquoted(first).strip().count(sign)]
    if likely:
        raise DataError(
            f"{source}: its columns are separated by {likely[0]!r}; save it with commas "
            f"(pandas: read_csv(..., sep={likely[0]!r}), then to_csv)"
        )
