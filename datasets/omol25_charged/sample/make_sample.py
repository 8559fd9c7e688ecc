"""Cuts rows out of the sample of OMol25: python make_sample.py [folder to write to]."""

import sys
from pathlib import Path

from hydracalc.readers.aselmdb import row_parts, rows_of
from hydracalc.readers.aselmdb_writer import write_rows

WHOLE = Path(__file__).parents[2] / "omol25" / "sample" / "omol25_sample_23.aselmdb"
OTHERS = 2  # rows of the other kind, to be left out on reading

if __name__ == "__main__":
    out = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent)
    rows = [row for part in row_parts([WHOLE]) for _, row in rows_of(part)]
    is_charged = [row["data"]["charge"] != 0 for row in rows]
    charged = [row for row, flag in zip(rows, is_charged, strict=True) if flag]
    neutral = [row for row, flag in zip(rows, is_charged, strict=True) if not flag]
    path = out / "omol25_charged.aselmdb"
    path.unlink(missing_ok=True)
    write_rows(path, [*charged, *neutral[:OTHERS]])
