"""Running a restoration: the only place where torch meets files and, later, Dask."""
