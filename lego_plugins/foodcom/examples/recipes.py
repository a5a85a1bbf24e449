"""Recipes by their titles, tags and ingredients. Give the folder of the official files.

FOODCOM=raw/food.com lego run lego_plugins/foodcom/examples/recipes.py
"""

import os

from legorec_foodcom import FoodCom

from lego import Attention, Dot, Experiment, Matching, Recommender, Training

experiment = Experiment(
    data=FoodCom(os.environ.get("FOODCOM", "raw/food.com")),
    model=Recommender(content=Attention(), behavior=Attention(), predictor=Dot()),
    task=Matching(),
    training=Training(epochs=3),
)

if __name__ == "__main__":
    experiment.run()
