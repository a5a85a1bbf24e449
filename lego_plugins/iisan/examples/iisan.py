"""NRMS that reads titles with a language model of which nothing learns, through side adapters: minutes instead of hours.

lego run lego_plugins/iisan/examples/iisan.py
"""

from pathlib import Path

from legorec_iisan import IISAN

from lego import Attention, Dot, Experiment, Matching, MovieLens, Recommender, Training

DATA = Path(__file__).resolve().parents[3] / "examples" / "data" / "ml-latest-small"

experiment = Experiment(
    data=MovieLens(str(DATA), users=60, history=20),
    model=Recommender(
        content=IISAN("sentence-transformers/all-MiniLM-L6-v2", every=2),
        behavior=Attention(),
        predictor=Dot(),
    ),
    task=Matching(),
    training=Training(epochs=3),
)

if __name__ == "__main__":
    experiment.run()
