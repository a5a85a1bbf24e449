"""Configurations of Legommenders (Liu et al. 2025, https://arxiv.org/abs/2412.15973) as experiments of lego.

    dialect    YAML with its imports and variables
    data       the data file: a source, and what is read of its items
    model      the model file: content, behavior, predictor, task
    training   the experiment file: training and metrics
    script     all of it as a script, which says at its head what it does not say as the files did

What has no counterpart is told, never left out in silence: as a note where the experiment goes without it, as a problem where
there would be none without it.
"""
