"""NRMS (Wu et al., 2019): attention over words and over the history, a dot product. Word vectors start from a language model."""

from lego import Attention, Dot, Experiment, Matching, MovieLens, PretrainedTokens, Recommender, Training

experiment = Experiment(
    data=MovieLens("data/ml-latest-small", users=150, history=30),
    model=Recommender(
        content=Attention(),
        behavior=Attention(),
        predictor=Dot(),
        tokens=PretrainedTokens("sentence-transformers/all-MiniLM-L6-v2"),
    ),
    task=Matching(negatives=4),
    training=Training(epochs=3, lr=1e-3),
)
