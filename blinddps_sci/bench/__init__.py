"""Comparisons and measurements behind `blinddps bench`, over the public face.

Nothing else in the package depends on them.
"""
