"""MINER (Li et al., 2022): several interests a user, drawn apart by a disagreement loss, weighed by each candidate."""

from lego import (
    CNN,
    Experiment,
    InterestAttention,
    Matching,
    MovieLens,
    PolyAttention,
    PretrainedTokens,
    Recommender,
    Training,
)

experiment = Experiment(
    data=MovieLens("data/ml-latest-small", users=150, history=30),
    model=Recommender(
        content=CNN(),
        # The published weight of the disagreement loss, 0.8, is made for millions of clicks; here it would drown the task.
        behavior=PolyAttention(interests=8, disagreement=0.1),
        predictor=InterestAttention(),
        tokens=PretrainedTokens("sentence-transformers/all-MiniLM-L6-v2"),
    ),
    task=Matching(negatives=4),
    training=Training(epochs=3, lr=2e-3),
)
