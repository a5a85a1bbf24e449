"""Two tables of one's own, recipes and who opened which, become a model that reads the texts (docs/your_own_data.md)."""

from lego import Attention, Dot, Experiment, Matching, Recommender, Tables, Training

experiment = Experiment(
    data=Tables("data/own/recipes.csv", rows="data/own/opened.csv", columns={"item": "recipe"}),
    model=Recommender(content=Attention(), behavior=Attention(), predictor=Dot()),
    task=Matching(negatives=4),
    training=Training(epochs=3, lr=3e-3),
)
