# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Where NaN and infinity come from: looked for when a result is not finite, and not before."""

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import torch
from mmengine.logging import print_log
from mmseg.utils import SampleList
from torch import Tensor, nn

_MOST_NAMES = 8


def not_finite(tensors: Iterable[tuple[str, Tensor]]) -> list[str]:
    """Names of the floating-point tensors that hold NaN or infinity."""
    return [name for name, tensor in tensors
            if tensor.is_floating_point() and not torch.isfinite(tensor).all()]


def tensors_of(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Parameters and buffers by name."""
    yield from model.named_parameters()
    yield from model.named_buffers()


def join(names: list[str]) -> str:
    """A list of names, cut where it is long."""
    rest = len(names) - _MOST_NAMES
    return ', '.join(names[:_MOST_NAMES]) + (f' and {rest} more' if rest > 0 else '')


def check_losses(losses: Mapping[str, Tensor], maps: Mapping[str, Tensor], head: nn.Module,
                 data_samples: SampleList) -> None:
    """Refuse losses that are not finite, and say where that comes from.

    Only their sum is looked at where all is well. Where it is float16 that overflows, the
    optimiser's gradient scaler leaves out the step: then this is a warning and no error.

    Args:
        losses: of a batch, by name; those without ``loss`` in their name do not count.
        maps: what they were made of, by what it is called, the first cause first; (N, ...).
        head: whose parameters are looked at.
        data_samples: the batch's samples, to name their images.

    Raises:
        FloatingPointError: naming losses, maps with their images, and parameters.
    """
    values = {name: value.detach().float().sum() for name, value in losses.items()
              if 'loss' in name}
    if torch.isfinite(torch.stack(list(values.values())).sum()):
        return
    text = join([f'{name} is {value.item()}' for name, value in values.items()
                 if not torch.isfinite(value)] or ['the sum of the losses is too large'])
    for name in not_finite(maps.items()):
        images = [str(sample.metainfo.get('img_path', f'image {i}'))
                  for i, sample in enumerate(data_samples)
                  if not torch.isfinite(maps[name][i]).all()]
        text += f'; the {name} is not finite for {join(images)}'
    names = not_finite(tensors_of(head))
    if names:
        text += f'; not finite in {type(head).__name__}: {join(names)}'
    if any(tensor.dtype == torch.float16 for tensor in maps.values()):
        print_log(f'{text} (in float16)', logger='current', level=logging.WARNING)
        return
    raise FloatingPointError(text)


@contextmanager
def naming_parameters(model: nn.Module) -> Iterator[None]:
    """Add the parameters and buffers that are not finite to the text of a FloatingPointError."""
    try:
        yield
    except FloatingPointError as error:
        names = not_finite(tensors_of(model))
        if not names:
            raise
        raise FloatingPointError(
            f'{error}; not finite in {type(model).__name__}: {join(names)}') from error
