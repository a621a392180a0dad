"""napari plugin of blinddps-sci: a manifest and thin layers over the library's public face.

napari finds it through ``napari.yaml``; the library never imports it.
"""
