"""Sampling: unknowns, noise, schedules and the samplers that join them to the data.

The engine hands over one canvas with its operator and likelihood and takes a `Posterior` back;
nothing here reads files or schedules work.
"""
