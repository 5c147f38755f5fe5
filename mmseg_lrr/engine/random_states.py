# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The states of the random generators that a training draws from."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch


def get_random_states() -> dict[str, Any]:
    """Return the states of Python's, NumPy's and torch's generators of this process.

    Returns:
        Numbers, tuples and tensors alone, so that a checkpoint holding them is loaded with
        torch's protection on. The current GPU's generator is among them where there is one.
    """
    name, keys, *rest = np.random.get_state()
    states = {
        'python': random.getstate(),
        'numpy': (name, torch.from_numpy(keys.astype(np.int64)), *rest),
        'torch': torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        states['cuda'] = torch.cuda.get_rng_state()
    return states


def set_random_states(states: dict[str, Any]) -> None:
    """Put back what :func:`get_random_states` returned.

    Args:
        states: Its result; tensors may have been moved to another device since.
    """
    random.setstate(states['python'])
    name, keys, *rest = states['numpy']
    np.random.set_state((name, keys.cpu().numpy().astype(np.uint32), *rest))
    torch.set_rng_state(states['torch'].cpu())
    if 'cuda' in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(states['cuda'].cpu())
