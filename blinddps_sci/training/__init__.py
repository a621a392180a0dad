"""Training: denoising score matching of the priors, from examples to a weights file.

It stands beside the restoration: what it writes is what `blinddps_sci.priors` loads.
"""
