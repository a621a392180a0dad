"""Priors: denoisers of images, kernels and tilts, and the files they come from.

The samplers ask a prior for ``E[x0 | x]`` and nothing else; networks, closed forms and the
uninformative priors all answer it.
"""
