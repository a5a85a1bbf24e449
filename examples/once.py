"""The main job: a language model reads the titles; its lower layers are frozen and cached, the upper ones learn with the rest.

Run it with `lego run examples/once.py`: some minutes on two cores, most of them in the two layers that learn.
"""

from lego import BERT, Attention, Dot, Experiment, Matching, MovieLens, Recommender, Training, split

MINILM = "sentence-transformers/all-MiniLM-L6-v2"

experiment = Experiment(
    # 45 of the 569 users, and the 10 latest items of a history: fewer items to read in a batch.
    data=MovieLens("data/ml-latest-small", users=45, history=10),
    model=Recommender(content=BERT(MINILM, layers=split(4)), behavior=Attention(), predictor=Dot()),
    task=Matching(negatives=4),
    # One pass is enough for a start from MiniLM; the layers that come from it learn slower than the new ones.
    training=Training(epochs=1, batch_size=64, lr=2e-3, pretrained_lr=1e-4),
)
