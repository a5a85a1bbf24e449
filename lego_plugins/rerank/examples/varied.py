"""Train a small model, then look at what maximal marginal relevance and calibration do to its lists.

lego run lego_plugins/rerank/examples/varied.py
python lego_plugins/rerank/examples/varied.py
"""

from pathlib import Path

from legorec_rerank import MMR, Calibrated

from lego import Attention, Dot, Experiment, Matching, Mean, MovieLens, Recommender, Training, load

DATA = Path(__file__).resolve().parents[3] / "examples" / "data" / "ml-latest-small"

experiment = Experiment(
    data=MovieLens(str(DATA), users=60, history=20),
    model=Recommender(content=Mean(), behavior=Attention(), predictor=Dot()),
    task=Matching(),
    training=Training(epochs=2),
)

if __name__ == "__main__":
    opened = load(experiment.run().path)
    user = opened.store.users.user_ids[0].as_py()
    for rerank in (None, MMR(0.5), Calibrated(0.7)):
        titles = opened.recommend(user=user, k=5, rerank=rerank)["title"].to_pylist()
        print(rerank, titles, sep="\n  ")  # noqa: T201 - an example shows what it found
