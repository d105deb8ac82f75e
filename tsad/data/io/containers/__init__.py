"""Containers of rows: compressed files, archives, workbooks, arrays, folders, addresses; each becomes one CSV or Parquet file."""
