"""Reading and writing tables: files, cells, times and values, and the options they are read by."""
