"""The README in a store's folder: how other programs read it.

Its head is for Hugging Face's `datasets`, which reads it: the rows are those of the
chunks. Without it, readers that search a folder would guess.
"""

from __future__ import annotations

from pathlib import Path

from mmdistill.labels.files import write_bytes
from mmdistill.labels.store_kind import StoreKind

README_FILE = 'README.md'

TEXT = """---
configs:
- config_name: default
  data_files: chunks/*.parquet
---
# A {name} of mmdistill

One row an image, in `chunks/*.parquet`; the columns are lists with one element for each
of the {row} of the image. The names of the keypoints stand in `manifest.json`, what is
kept as labels in `selection.json`. Give readers the chunks, not the whole folder. In a
session whose working folder is this one:

```python
import duckdb  # SQL
duckdb.sql("SELECT count(*) FROM 'chunks/*.parquet'")

import pandas
pandas.read_parquet('chunks')

import polars
polars.read_parquet('chunks/*.parquet')

import os
import datasets  # Hugging Face; with a path that has the folder's name, this README's
datasets.load_dataset(os.path.abspath('.'), split='train')  # head names the chunks

spark.read.parquet('chunks')  # PySpark; before 4.0 first
# spark.conf.set('spark.sql.parquet.enableNestedColumnVectorizedReader', 'false')
```

Nothing here is to be changed by hand: each file knows its bytes and its place.
"""


def write_readme(root: Path, kind: StoreKind) -> None:
    """Write the README into a store's folder, unless there is one.

    Args:
        root: The folder.
        kind: What the store holds.

    Raises:
        UserError: If the disk refuses the file.
    """
    path = root / README_FILE
    if not path.exists():
        text = TEXT.format(name=kind.name, row=kind.row)
        write_bytes(path, text.encode())
