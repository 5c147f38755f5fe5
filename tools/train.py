# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Train a model: the toolbox's own ``tools/train.py``, with LRR registered."""

from mmseg_lrr.apis import toolbox

if __name__ == '__main__':
    toolbox.train()
