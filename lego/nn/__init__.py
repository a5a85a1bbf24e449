"""Torch layers that several operators share. They know tensors and masks, never a spec.

masked          softmax, mean, maximum and last place of rows with padding
additive        additive attention pooling          attention      multi-head self-attention
mlp             a multi-layer perceptron            dice           the activation of DIN
score           the last layer of a predictor       place          a linear layer at each place
token_encoder   a token table and a sequence module, joined to a content module
blocks          candidates, a block at a time      gaps           times between moments, in buckets
random          one stream of chance for what is built inside a `with` block
"""
