"""NAML (Wu et al., 2019) in one view: convolution over words, additive attention over the history, a dot product."""

from lego import CNN, Additive, Dot, Experiment, Matching, MovieLens, Recommender, Training

experiment = Experiment(
    data=MovieLens("data/ml-latest-small", users=150, history=30),
    model=Recommender(content=CNN(), behavior=Additive(), predictor=Dot()),
    task=Matching(negatives=4),
    training=Training(epochs=3, lr=1e-3),
)
