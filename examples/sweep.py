"""Which encoder of titles, and which of the user, on MovieLens: eight models and two rates, and item ids to compare with.

Run it with `lego sweep examples/sweep.py`: some minutes on two cores. `--limit 4` runs a sample, `--seeds 3` shows the spread.
"""

from lego import (
    CNN,
    GRU,
    Additive,
    Attention,
    Dot,
    Experiment,
    ItemID,
    Matching,
    Mean,
    MovieLens,
    Recommender,
    Training,
    any_of,
    cases,
)

experiment = Experiment(
    data=MovieLens("data/ml-latest-small", users=60, history=15),
    model=Recommender(
        # Item ids learn best at a rate of their own: what is tied goes together, what is free is combined with all.
        content=cases(ItemID(), any_of(Mean(), CNN())),
        behavior=any_of(Mean(), Additive(), Attention(), GRU()),
        predictor=Dot(),
    ),
    task=Matching(negatives=4),
    training=Training(epochs=2, lr=cases(1e-2, any_of(1e-3, 3e-3))),
)
