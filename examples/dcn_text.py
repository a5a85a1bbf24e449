"""DCN over text (Wang et al., 2017): mean of the words, mean of the history, crossed with the candidate; the ranking task."""

from lego import DCN, Experiment, Mean, MovieLens, Ranking, Recommender, Training

experiment = Experiment(
    data=MovieLens("data/ml-latest-small", users=150, history=30),
    model=Recommender(content=Mean(), behavior=Mean(), predictor=DCN()),
    task=Ranking(negatives=4),
    training=Training(epochs=8, lr=1e-3),
)
