"""DIN (Zhou et al., 2018) over item ids: the candidate looks at each item of the history; the ranking task, no text."""

from lego import DIN, Experiment, History, ItemID, MovieLens, Ranking, Recommender, Training

experiment = Experiment(
    data=MovieLens("data/ml-latest-small", users=150, history=30),
    model=Recommender(content=ItemID(), behavior=History(), predictor=DIN()),
    task=Ranking(negatives=4),
    training=Training(epochs=8, lr=1e-3),
)
