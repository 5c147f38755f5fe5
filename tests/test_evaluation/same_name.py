# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Write one of two images that have the same name: ``same_name.py FOLDER RANK``.

Prints what each metric says when it is evaluated. Run as a script, once a process, by the test of
distributed evaluation.
"""

import os
import sys

import torch
from evaluation_samples import random_sample
from mmengine.evaluator import Evaluator

import mmseg_lrr  # noqa: F401  (makes the stack ready before the toolbox is imported)
from mmseg_lrr.evaluation import LRRIoUMetric, VOCSubmission


def main(folder: str, rank: int) -> None:
    # mmengine gathers results through a folder in the working directory.
    os.chdir(folder)
    torch.distributed.init_process_group(
        'gloo', init_method=f'file://{folder}/rendezvous', rank=rank, world_size=2)
    # Both have the second image, as where a sampler makes the shares equal.
    shares = [('a/x.jpg', 'a/z.jpg'), ('b/x.jpg', 'a/z.jpg')], [('a/z.jpg', ), ('a/z.jpg', )]
    for share in shares:
        for metric in (LRRIoUMetric(output_dir='levels'),
                       LRRIoUMetric(output_dir='only', format_only=True),
                       VOCSubmission(output_dir='voc', overwrite=True)):
            evaluator = Evaluator([metric])
            evaluator.dataset_meta = dict(classes=[str(c) for c in range(21)])
            for name in share[rank]:
                sample = random_sample(1, 21)
                sample.set_metainfo(dict(img_path=name))
                evaluator.process([sample])
            try:
                evaluator.evaluate(len(share[rank]))
                print('fine')
            except ValueError as error:
                print(error)
    torch.distributed.destroy_process_group()


if __name__ == '__main__':
    main(sys.argv[1], int(sys.argv[2]))
