# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""What each level of the head keeps for its backward pass, beside the textbook port.

    python tools/benchmarks/memory.py [--size 512] [--classes 21]

Counts the bytes of the tensors that autograd saves while the levels are computed, each storage
once; parameters and the backbone's maps, which are there anyway, are left out. Nothing is timed, so
any machine gives the same table.
"""

import argparse
from collections.abc import Callable, Iterable

import torch
from heads import build_features, build_head
from mmengine.registry import init_default_scope
from options import add_image
from side_by_side import table
from textbook import TextbookHead


def kept_bytes(function: Callable[[], object], given: Iterable[torch.Tensor]) -> int:
    """Bytes of the storages that autograd saves during a call, without those of ``given``."""
    there = {tensor.untyped_storage().data_ptr() for tensor in given}
    kept: dict[int, torch.UntypedStorage] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in there:
            # Held here, so that no other storage gets its address.
            kept[storage.data_ptr()] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        result = function()
    del result
    return sum(storage.nbytes() for storage in kept.values())


def main() -> None:
    """Count and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_image(parser)
    args = parser.parse_args()
    init_default_scope('mmseg')
    head = build_head(args.classes, 'cpu').train()
    port = TextbookHead(head)
    features = [item.requires_grad_() for item in build_features(args.size, 1, 'cpu')]
    given = [*features, *head.parameters(), *head.buffers()]

    def upto(level: str, with_cp: bool) -> int:
        head.with_cp = with_cp
        return kept_bytes(lambda: head.forward_levels(features, last_level=level), given)

    rows, before = [], (0, 0, 0)
    for number, level in enumerate(head.levels, 1):
        # A port of fewer levels is the pyramid without its finer maps.
        now = (kept_bytes(lambda number=number: port(features, number), given),
               upto(level, False), upto(level, True))
        rows.append((level, *((new - old) / 2**20 for new, old in zip(now, before, strict=True))))
        before = now
    rows.append(('all', *(total / 2**20 for total in before)))
    print(f'torch {torch.__version__}; batch 1\n')
    print(table(f'Kept for the backward pass, {args.size}x{args.size}, {args.classes} classes: MiB',
                ('level', 'textbook', 'ours', 'ours, with_cp'), rows))


if __name__ == '__main__':
    main()
