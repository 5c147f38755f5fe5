# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Evaluate one process's share of some images: ``evaluate_share.py FOLDER RANK PROCESSES``.

Writes ``FOLDER/rank<RANK>.json`` with the metrics and the images of this process, and what the
metrics write. Run as a script by the test of distributed evaluation.
"""

import json
import os
import sys

import torch
from evaluation_samples import random_sample
from mmengine.dataset import DefaultSampler
from mmengine.evaluator import Evaluator

import mmseg_lrr  # noqa: F401  (makes the stack ready before the toolbox is imported)
from mmseg_lrr.evaluation import LRRIoUMetric, TrimapIoUMetric, VOCSubmission

# Odd, so that the sampler gives one of two processes an image twice.
IMAGES = 7


def main(folder: str, rank: int, processes: int) -> None:
    # mmengine gathers results through a folder in the working directory.
    os.chdir(folder)
    if processes > 1:
        torch.distributed.init_process_group(
            'gloo', init_method=f'file://{folder}/rendezvous', rank=rank, world_size=processes
        )
    evaluator = Evaluator([
        LRRIoUMetric(trimap=dict(widths=(1, 4), csv_path='bands.csv')),
        TrimapIoUMetric(widths=(1, 2), prefix='apart'),
        VOCSubmission(output_dir='out', archive='tar'),
    ])
    evaluator.dataset_meta = dict(classes=[str(c) for c in range(21)])
    share = list(DefaultSampler(range(IMAGES), shuffle=False))
    for number in share:
        evaluator.process([random_sample(number, 21)])
    metrics = evaluator.evaluate(IMAGES)
    with open(f'rank{rank}.json', 'w') as file:
        json.dump(dict(metrics=metrics, share=share), file)
    if processes > 1:
        torch.distributed.destroy_process_group()


if __name__ == '__main__':
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
