# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The parameters of an LRR network in MatConvNet and here: names, shapes, axes, both ways.

MatConvNet's filters are (height, width, in, out), PyTorch's (out, in, height, width); both
libraries cross-correlate, so nothing is flipped. Source: spec section 7, from the authors' released
code and from the names in their released Cityscapes network.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

#: The pyramid's levels, coarse to fine.
LEVELS = ('32x', '16x', '8x', '4x')
#: Dilation and erosion: MatConvNet's name of each and the name of the branch here.
DE_BRANCHES = {'dil': 'dilation', 'ero': 'erosion'}
#: Channels of fc6 and fc7 in VGG-16.
FC_CHANNELS = 4096
#: Basis functions a class in the released networks; they are 8x8, twice the upsampling by 4.
NUM_BASES = 10
BASIS_SIZE = 8
COEFFICIENT_KERNEL = 5
#: The mask's window in the released training code, for networks that do not say theirs.
USUAL_WINDOW = 9
#: The fixed filter of the 2x upsampling, one axis; the filter is the outer square.
BILINEAR = np.array([0.25, 0.75, 0.75, 0.25])

# (MatConvNet's name, name in VGG16FC, in, out, kernel); None stands for the width of fc6, fc7.
_VGG_CONVS = (
    ('conv1_1', 'features.0', 3, 64, 3),
    ('conv1_2', 'features.1', 64, 64, 3),
    ('conv2_1', 'features.3', 64, 128, 3),
    ('conv2_2', 'features.4', 128, 128, 3),
    ('conv3_1', 'features.6', 128, 256, 3),
    ('conv3_2', 'features.7', 256, 256, 3),
    ('conv3_3', 'features.8', 256, 256, 3),
    ('conv4_1', 'features.10', 256, 512, 3),
    ('conv4_2', 'features.11', 512, 512, 3),
    ('conv4_3', 'features.12', 512, 512, 3),
    ('conv5_1', 'features.14', 512, 512, 3),
    ('conv5_2', 'features.15', 512, 512, 3),
    ('conv5_3', 'features.16', 512, 512, 3),
    ('fc6', 'fc6', 512, None, 7),
    ('fc7', 'fc7', None, None, 1),
)
_FEATURE_CHANNELS = {'16x': 512, '8x': 512, '4x': 256}

# Every spelling of a name, each with the one that the released training code writes.
_SPELLINGS = (
    (r'bases_coef_(32|16|8|4)[xs]([fb])', r'bases_coef_\1x\2'),
    (r'deconv_(32|16|8|4)[xs]f', r'deconv_\1xf'),
    (r'(dil|ero)_(?:seg|mask)(32|16|8|4)[xs]_coef([fb])', r'\1_seg\2x_coef\3'),
    (r'(dil|ero)_(?:seg|mask)_deconv_?32[xs]([fb])', r'\1_seg_deconv_32x\2'),
    (r'(dil|ero)_(?:seg|mask)_deconv_?(16|8|4)[xs](?:_add)?([fb])', r'\1_seg_deconv_\2x_add\3'),
    (r'dec_prediction_(32|16|8)[xs]_bil_x2f', r'dec_prediction_\1x_bil_x2f'),
    (r'dec_(dil|ero)_(?:seg|mask)(32|16|8)[xs]_bil_x2f', r'dec_\1_seg\2x_bil_x2f'),
)


@dataclass(frozen=True)
class Parameter:
    """What a parameter is in both worlds.

    Args:
        name (str): MatConvNet's name, as the released training code spells it.
        kind (str): ``filter``, ``bias``, ``bases`` (the filter of a level's transposed
            convolution), or, for what is fixed and has no place of its own here, ``de_bases``
            (the same bases again, for dilation or erosion) and ``bilinear``.
        shape (tuple[int]): Its shape in MatConvNet.
        key (str): Its name in a segmentor's state dict; for ``de_bases`` the level's bases'.
            Empty for ``bilinear``.
        num_classes (int): The number of classes, for ``bases`` and ``de_bases``.
    """

    name: str
    kind: Literal['filter', 'bias', 'bases', 'de_bases', 'bilinear']
    shape: tuple[int, ...]
    key: str = ''
    num_classes: int = 0

    @property
    def stored(self) -> bool:
        """Whether the parameter has a place of its own in the state dict."""
        return self.kind not in ('de_bases', 'bilinear')

    @property
    def torch_shape(self) -> tuple[int, ...]:
        """The parameter's shape in the state dict."""
        height, width, inputs, outputs = (1, 1, *self.shape)[-4:]
        if self.kind == 'bias':
            return (outputs,)
        if self.kind in ('bases', 'de_bases'):
            return (self.num_classes, outputs // self.num_classes, height, width)
        return (outputs, inputs, height, width)

    def fits(self, shape: Sequence[int]) -> bool:
        """Whether an array of a MATLAB shape can be this parameter."""
        if self.kind == 'bias':
            return int(np.prod(shape)) == self.shape[-1] == max(shape)
        # MATLAB drops axes of length 1 at the end.
        return tuple(shape) + (1,) * (len(self.shape) - len(shape)) == self.shape

    def to_torch(self, value: np.ndarray) -> Tensor:
        """Turns MatConvNet's array into the state dict's tensor, float32."""
        if self.kind == 'bias':
            array = value.reshape(-1)
        else:
            array = value.reshape(self.shape, order='F').transpose(3, 2, 0, 1)
        return torch.from_numpy(np.array(array, np.float32, order='C')).reshape(self.torch_shape)

    def to_matconvnet(self, value: Tensor) -> np.ndarray:
        """Turns the state dict's tensor into MatConvNet's array, single precision."""
        array = value.detach().cpu().float().numpy()
        if self.kind == 'bias':
            return array.reshape(1, -1)
        if self.kind in ('bases', 'de_bases'):
            array = array.reshape(-1, 1, *array.shape[-2:])
        return array.transpose(2, 3, 1, 0)


def usual_name(name: str) -> str:
    """Returns a parameter's name as the released training code spells it.

    The released files mix it with an older spelling, parameter by parameter, so each name is read
    alone.

    Args:
        name (str): A name in either spelling, or any other.

    Returns:
        str: The usual spelling; a name that is no LRR parameter's comes back as it is.
    """
    for pattern, usual in _SPELLINGS:
        match = re.fullmatch(pattern, name)
        if match:
            return match.expand(usual)
    return name


def vgg_parameters(fc_channels: int = FC_CHANNELS) -> list[Parameter]:
    """Lists the parameters of VGG-16 without fc8, in the network's order.

    Args:
        fc_channels (int): Channels of fc6 and fc7. Defaults to 4096.
    """
    parameters = []
    for name, place, inputs, outputs, kernel in _VGG_CONVS:
        shape = (kernel, kernel, inputs or fc_channels, outputs or fc_channels)
        parameters += _convolution(name, f'backbone.{place}.conv', shape)
    return parameters


@dataclass(frozen=True, kw_only=True)
class LrrLayout:
    """What an LRR network on VGG-16 consists of.

    Args:
        num_classes (int): The number of classes C.
        num_bases (int): The number of basis functions a class, K.
        levels (tuple[str]): Levels, coarse to fine, from 32x.
        de_levels (tuple[str]): Levels with dilation and erosion, coarse to fine, from 32x; may be
            empty.
        fc_channels (int): Channels of fc6 and fc7.
    """

    num_classes: int
    num_bases: int = NUM_BASES
    levels: tuple[str, ...] = LEVELS
    de_levels: tuple[str, ...] = ('32x',)
    fc_channels: int = FC_CHANNELS

    def __str__(self) -> str:
        branch = f'at {", ".join(self.de_levels)}' if self.de_levels else 'nowhere'
        return (
            f'LRR with levels {", ".join(self.levels)}, {self.num_classes} classes, '
            f'{self.num_bases} bases a class, dilation and erosion {branch}'
        )

    @classmethod
    def of_shapes(
        cls, shapes: Mapping[str, Sequence[int]], fc_channels: int = FC_CHANNELS
    ) -> LrrLayout | None:
        """Finds the layout that most of a network's parameters agree with.

        The number of classes stands in the dilation branch's biases and in the bilinear filters.
        Without any of them, K is taken for the released networks' 10.

        Args:
            shapes (Mapping[str, Sequence[int]]): Each parameter's shape in MatConvNet, by its
                usual name.
            fc_channels (int): Channels of fc6 and fc7. Defaults to 4096.

        Returns:
            LrrLayout or None: The layout; None if no parameter is LRR's.
        """
        maps, classes, found, de_found = Counter(), Counter(), set(), set()
        for name, shape in shapes.items():
            if match := re.fullmatch(r'(?:bases_coef|deconv)_(\d+x)[fb]', name):
                maps[shape[-1]] += 1
                found.add(match[1])
            elif match := re.fullmatch(r'(?:dil|ero)_seg(\d+x)_coef[fb]', name):
                maps[shape[-1]] += 1
                de_found.add(match[1])
            elif match := re.fullmatch(r'(?:dil|ero)_seg_deconv_(\d+x)(?:_add)?([fb])', name):
                (maps if match[2] == 'f' else classes)[shape[-1]] += 1
                de_found.add(match[1])
            elif re.fullmatch(r'dec_\w+_bil_x2f', name):
                classes[shape[-1]] += 1
        if not found:
            return None
        num_maps = maps.most_common(1)[0][0]
        votes = (number for number, _ in classes.most_common() if number)
        num_classes = next(votes, max(num_maps // NUM_BASES, 1))
        return cls(
            num_classes=num_classes,
            num_bases=max(num_maps // num_classes, 1),
            levels=_down_to(found | de_found),
            de_levels=_down_to(de_found),
            fc_channels=fc_channels,
        )

    def parameters(self) -> list[Parameter]:
        """Lists the network's parameters, in its order."""
        maps = self.num_classes * self.num_bases
        basis_shape = (BASIS_SIZE, BASIS_SIZE, 1, maps)
        parameters = vgg_parameters(self.fc_channels)
        for coarser, level in zip((None, *self.levels), self.levels, strict=False):
            channels = _FEATURE_CHANNELS.get(level, self.fc_channels)
            shape = (COEFFICIENT_KERNEL, COEFFICIENT_KERNEL, channels, maps)
            bases = f'decode_head.reconstructions.{level}.bases'
            parameters += _convolution(
                f'bases_coef_{level}', f'decode_head.coefficients.{level}', shape
            )
            parameters.append(
                Parameter(f'deconv_{level}f', 'bases', basis_shape, bases, self.num_classes)
            )
            if coarser:
                parameters.append(self._bilinear(f'dec_prediction_{coarser}_bil_x2f'))
            for short, branch in DE_BRANCHES.items() if level in self.de_levels else ():
                place = f'decode_head.{branch}'
                deconv = f'{short}_seg_deconv_{level}' + ('_add' if coarser else '')
                parameters += _convolution(
                    f'{short}_seg{level}_coef', f'{place}.coefficients.{level}', shape
                )
                parameters += [
                    Parameter(f'{deconv}f', 'de_bases', basis_shape, bases, self.num_classes),
                    Parameter(
                        f'{deconv}b', 'bias', (1, self.num_classes), f'{place}.bias.{level}'
                    ),
                ]
                if coarser:
                    parameters.append(self._bilinear(f'dec_{short}_seg{coarser}_bil_x2f'))
        return parameters

    def _bilinear(self, name: str) -> Parameter:
        return Parameter(name, 'bilinear', (len(BILINEAR), len(BILINEAR), 1, self.num_classes))


def _down_to(found: set[str]) -> tuple[str, ...]:
    """The levels from 32x down to the finest one found: each stands on the coarser ones."""
    return LEVELS[: max((LEVELS.index(level) + 1 for level in found), default=0)]


def _convolution(name: str, place: str, shape: tuple[int, ...]) -> list[Parameter]:
    return [
        Parameter(f'{name}f', 'filter', shape, f'{place}.weight'),
        Parameter(f'{name}b', 'bias', (1, shape[-1]), f'{place}.bias'),
    ]
