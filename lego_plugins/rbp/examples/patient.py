"""Early stopping by what a patient reader finds, and the metric for readers of three kinds.

lego run lego_plugins/rbp/examples/patient.py
"""

from pathlib import Path

from legorec_rbp import RBP

from lego import Attention, Dot, Evaluation, Experiment, Matching, Mean, MovieLens, Recommender, Training

DATA = Path(__file__).resolve().parents[3] / "examples" / "data" / "ml-latest-small"

experiment = Experiment(
    data=MovieLens(str(DATA), users=60, history=20),
    model=Recommender(content=Mean(), behavior=Attention(), predictor=Dot()),
    task=Matching(),
    training=Training(epochs=2, monitor="rbp@0.8"),
    evaluation=Evaluation(metrics=("gauc", "ndcg@5", RBP(0.5), RBP(0.8), RBP(0.95))),
)

if __name__ == "__main__":
    experiment.run()
