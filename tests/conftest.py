# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""What the tests share: the real data's place, the seed, the number of threads."""

import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.registry import DefaultScope

import mmseg_lrr  # noqa: F401  (makes the stack ready and registers every class)

REPO_ROOT = Path(__file__).resolve().parent.parent


def pytest_configure() -> None:
    """Share the cores between the test processes, unless the environment says how many threads."""
    if 'OMP_NUM_THREADS' not in os.environ:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()
        processes = int(os.environ.get('PYTEST_XDIST_WORKER_COUNT', 1))
        torch.set_num_threads(max((cores or 1) // processes, 1))


@pytest.fixture(autouse=True)
def _seed() -> None:
    """Start every test from the same random state, whichever tests ran before."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(scope='module', autouse=True)
def _toolbox_scope() -> Iterator[None]:
    """Let names of the toolbox's classes be its own, whichever runners other modules have made."""
    with DefaultScope.overwrite_default_scope('mmseg'):
        yield


@pytest.fixture
def one_thread() -> Iterator[None]:
    """For small arrays: waking up threads would take longer than the sums."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope='session')
def repo_root() -> Path:
    """Folder of the repository."""
    return REPO_ROOT


@pytest.fixture(scope='session')
def shared_data() -> Callable[[str], Path]:
    """Give the folder of a real data set by name (``shared_data('voc')``), or skip the test."""

    def find(name: str) -> Path:
        path = REPO_ROOT.parent / 'shared' / 'data' / name
        if not path.is_dir():
            pytest.skip(f'real data not here: ../shared/data/{name} beside the repository')
        return path

    return find
