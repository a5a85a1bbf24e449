"""The main job: a language model as content operator, whose lower layers are frozen and computed once, trained jointly with the rest.

Run it with `lego run examples/once.py`.
"""

from lego import BERT, Attention, Dot, Experiment, Matching, MovieLens, Recommender, Training, split

MINILM = "sentence-transformers/all-MiniLM-L6-v2"

experiment = Experiment(
    data=MovieLens("data/ml-latest-small", users=200, history=20),  # 200 of the 569 users, the 20 latest clicks: minutes, not hours
    model=Recommender(content=BERT(MINILM, layers=split(4)), behavior=Attention(), predictor=Dot()),
    task=Matching(negatives=4),
    training=Training(epochs=2, batch_size=64, lr=1e-3, pretrained_lr=1e-4),  # two passes: the pretrained layers need few
)
