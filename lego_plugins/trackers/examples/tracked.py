"""A run that tells a table, a log of events and TensorBoard (if that is installed) what it does.

lego run lego_plugins/trackers/examples/tracked.py
tensorboard --logdir runs
"""

import importlib.util
from pathlib import Path

from legorec_trackers import CSV, JSONLines

from lego import Attention, Dot, Experiment, Matching, Mean, MovieLens, Recommender, Training

DATA = Path(__file__).resolve().parents[3] / "examples" / "data" / "ml-latest-small"

trackers = [CSV(), JSONLines()]
if importlib.util.find_spec("tensorboard") is not None:
    from legorec_trackers.tensor_board import TensorBoard

    trackers.append(TensorBoard())

experiment = Experiment(
    data=MovieLens(str(DATA), users=60, history=20),
    model=Recommender(content=Mean(), behavior=Attention(), predictor=Dot()),
    task=Matching(),
    training=Training(epochs=3),
    trackers=trackers,
)

if __name__ == "__main__":
    experiment.run()
