"""Train a small model and write its card beside it.

python lego_plugins/card/examples/carded.py
"""

from pathlib import Path

from legorec_card.page import facts_of, page_of

from lego import Attention, Dot, Experiment, Matching, Mean, MovieLens, Recommender, Training

DATA = Path(__file__).resolve().parents[3] / "examples" / "data" / "ml-latest-small"

experiment = Experiment(
    data=MovieLens(str(DATA), users=60, history=20),
    model=Recommender(content=Mean(), behavior=Attention(), predictor=Dot()),
    task=Matching(),
    training=Training(epochs=2),
)

if __name__ == "__main__":
    folder = experiment.run().path
    (folder / "README.md").write_text(
        page_of(facts_of(folder), about="Films by their titles."), encoding="utf-8"
    )
