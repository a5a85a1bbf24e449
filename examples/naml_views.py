"""NAML (Wu et al., 2019) as published, each attribute by an operator of its own; with the names that this data has."""

from lego import Experiment, Matching, MovieLens, PretrainedTokens, Training, zoo

experiment = Experiment(
    data=MovieLens("data/ml-latest-small", users=150, history=30),
    # Views(title=CNN(…), genres=Lookup(…)): additive attention weighs the two for each movie. On news: zoo.naml().
    model=zoo.naml(
        texts=("title",),
        categories=("genres",),
        tokens=PretrainedTokens("sentence-transformers/all-MiniLM-L6-v2"),
    ),
    task=Matching(negatives=4),
    training=Training(epochs=2, lr=1e-3),
)
