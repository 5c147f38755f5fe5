# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Measure the suite's power: how many small mistakes in the package does it catch?

    python tests/mutations.py            # all of them, each with the tests nearest to it
    python tests/mutations.py WORD ...   # those whose names contain one of the words
    python tests/mutations.py --all ...  # with the whole default suite

Not collected by pytest, as it takes some ten minutes. The repository is copied to a temporary
folder; each row changes one line there, runs its tests until the first failure and puts the line
back. Texts that are not found exactly once, and tests that fail without a change, are errors.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

HEAD, LEVEL = 'models/decode_heads/lrr_head.py', 'models/layers/lrr_level.py'
BRANCH, PYRAMID = 'models/layers/dilation_erosion_branch.py', 'ops/pyramid.py'
DE_OPS, BASES, SLIDING = 'ops/dilation_erosion.py', 'ops/bases.py', 'ops/sliding.py'
RECONSTRUCTION, RESAMPLING = 'ops/reconstruction.py', 'ops/resampling.py'
CE, DE_LOSS = 'models/losses/level_cross_entropy.py', 'models/losses/dilation_erosion_loss.py'
SCALES, PREPROCESSOR = 'datasets/transforms/scale_augmentation.py', 'models/data_preprocessor.py'
RATES = 'engine/hooks/coefficient_rates_hook.py'
NEAR_BOUNDARIES = 'evaluation/metrics/boundary_metrics.py'
RESTORE, SEGMENTOR = 'models/segmentors/restore.py', 'models/segmentors/lrr_encoder_decoder.py'

HEAD_TESTS, LAYER_TESTS = 'test_models/test_decode_heads', 'test_models/test_layers'
LOSS_TESTS, SEGMENTOR_TESTS = 'test_models/test_losses', 'test_models/test_segmentors'
SCALE_TESTS = 'test_datasets/test_transforms/test_scale_augmentation.py'
PREPROCESSOR_TESTS = 'test_models/test_data_preprocessor.py'
CRF_TESTS = 'test_models/test_post_processing test_ops/test_permutohedral.py'
METRIC_TESTS = 'test_evaluation/test_level_iou_metric.py test_evaluation/test_boundary_metrics.py'
CONVERTER_TESTS = 'test_converters/test_matconvnet.py test_tools/test_model_converters.py'

#: Name; file of the package; its text and what it becomes; the tests nearest to it.
MUTATIONS = [
    ('rates: adaptive as SGD', RATES, 'if adaptive:', 'if False:',
     'test_engine/test_coefficient_rates_hook.py'),
    ('rates: schedule left behind', RATES, 'scheduler.base_values[index] *= factor', 'pass',
     'test_engine/test_coefficient_rates_hook.py'),
    ('rates: measured again when resumed', RATES, 'if runner.iter > 0:', 'if False:',
     'test_engine/test_coefficient_rates_hook.py'),
    # The head.
    ('detail without its mask', LEVEL, 'scores + self.mask(scores) * ', 'scores + ',
     f'{LAYER_TESTS} {HEAD_TESTS}'),
    ('unmasked detail subtracted', LEVEL, 'return scores + self.detail',
     'return scores - self.detail', f'{LAYER_TESTS} {HEAD_TESTS}'),
    ('others twice as likely as they are', LEVEL, ') + others', ') + others + 0.7', LAYER_TESTS),
    ('gated by the greatest probability', 'ops/class_gating.py', ' - p.amin(dim=(2, 3))', '',
     LAYER_TESTS),
    ('mask softmax over the wrong axis', 'models/layers/boundary_mask.py', 'softmax(dim=1)',
     'softmax(dim=2)', LAYER_TESTS),
    ('default window 2u - 1', PYRAMID, '2 * u + 1 if side', '2 * u - 1 if side', HEAD_TESTS),
    ('windows coarse to fine', PYRAMID, 'windows[::-1]', 'windows', HEAD_TESTS),
    ('labels sampled at corners', PYRAMID, 'labels[:, stride // 2::stride, stride // 2::stride]',
     'labels[:, ::stride, ::stride]', HEAD_TESTS),
    ('levels judged before upsampling', HEAD, 'if fine and', 'if fine is True and',
     'test_models/test_segmentors/test_lrr_encoder_decoder.py'),
    ('finer levels keep their bases', 'models/decode_heads/checkpoint_filter.py',
     'if name not in filtered and', 'if name in filtered and', HEAD_TESTS),
    ('dilation and erosion scores swapped', HEAD, 'self.dilation(*maps), self.erosion(*maps)',
     'self.erosion(*maps), self.dilation(*maps)', HEAD_TESTS),
    ('DE background bias negative', BRANCH, 'bias[0] = 1.0', 'bias[0] = -1.0', LAYER_TESTS),
    ('DE fine level forgets the coarse one', BRANCH,
     'level.upsample(scores, feature.shape[2:]) + detail', 'detail', LAYER_TESTS),
    ('coefficients basis-major', 'models/layers/basis_reconstruction.py',
     'reconstruct(coefficients, self.bases)', 'reconstruct(coefficients.unflatten(1, ('
     'self.bases.shape[1], -1)).transpose(1, 2).flatten(1, 2), self.bases)', LAYER_TESTS),
    # The operators.
    ('blocks not turned in a cell', RECONSTRUCTION, '.flip(2, 4)', '',
     'test_ops/test_reconstruction.py'),
    ('grid of cells cut on one side', RECONSTRUCTION, '[..., half:-half, half:-half]',
     '[..., :-u, :-u]', 'test_ops/test_reconstruction.py'),
    ('zero border repeated', RESAMPLING, 'F.pad(x, (1, 1, 1, 1))',
     "F.pad(x, (1, 1, 1, 1), mode='replicate')", 'test_ops/test_resampling.py'),
    ('minimum sees zeros outside', SLIDING, "lowest = _slide(_pad(x, window, float('inf'))",
     'lowest = _slide(_pad(x, window, 0.)', 'test_ops/test_sliding.py'),
    ('tie to the last maximum', SLIDING, 'torch.maximum, torch.gt', 'torch.maximum, torch.ge',
     'test_ops/test_sliding.py'),
    ('disk one pixel too small', DE_OPS, 'excess <= widest', 'excess < widest',
     'test_ops/test_dilation_erosion.py'),
    ('target rows at corners', DE_OPS, 'margin + stride // 2 + dy', 'margin + dy',
     'test_ops/test_dilation_erosion.py'),
    ('erosion survives other classes', DE_OPS, 'keepdim=True) == 2', 'keepdim=True) >= 2',
     'test_ops/test_dilation_erosion.py'),
    ('void seeds dilation', DE_OPS, "no_class = -1 if void == 'ignore' else 0", 'no_class = 0',
     'test_ops/test_dilation_erosion.py'),
    ('void has targets', DE_OPS, 'targets.masked_fill_(own < 0, 0)',
     'targets.masked_fill_(own < 0, -1)', 'test_ops/test_dilation_erosion.py'),
    ('targets swapped', DE_OPS, 'return dilation, erosion', 'return erosion, dilation',
     'test_ops/test_dilation_erosion.py'),
    ('octagon lengthened too far', DE_OPS, '2 * diagonal) - 1, 0)', '2 * diagonal), 0)',
     'test_ops/test_dilation_erosion.py'),
    ('canvas rounded down', RESAMPLING, 'int(exact * side / divisor + Fraction(1, 2))',
     'int(exact * side / divisor)', 'test_ops/test_resampling.py'),
    ('image beyond its canvas', RESAMPLING, 'factor = min(', 'factor = max(',
     'test_ops/test_resampling.py'),
    ('image size rounded down', RESAMPLING, 'math.ceil(factor * size[1])',
     'math.floor(factor * size[1])', 'test_ops/test_resampling.py'),
    ('odd rest on the other side', RESAMPLING, 'int((side - height) / 2)',
     '(side - height + 1) // 2', 'test_ops/test_resampling.py'),
    ('8-bit colours cut off', RESAMPLING, '(scaled + 0.5)', 'scaled',
     'test_ops/test_resampling.py'),
    ('labels to the wrong neighbour', RESAMPLING, "'nearest-exact'", "'nearest'",
     'test_ops/test_resampling.py'),
    ('float16 stays float16', 'ops/precision.py', '(torch.float16, torch.bfloat16)',
     '(torch.bfloat16, )', f'{LOSS_TESTS} {LAYER_TESTS}'),
    # Bases.
    ('mean patch stays', BASES, 'rows -= rows.mean(axis=0)', 'rows -= 0 * rows.mean(axis=0)',
     'test_ops/test_bases.py'),
    ('singular values for their roots', BASES, 'np.maximum(squares, 0.0), 0.0) ** 0.25',
     'np.maximum(squares, 0.0), 0.0) ** 0.5', 'test_ops/test_bases.py'),
    ('last place never drawn', BASES, 'integers(0, height - PATCH_SIZE + 1',
     'integers(0, height - PATCH_SIZE',
     'test_ops/test_bases.py test_datasets/test_class_bases.py'),
    ('resize clamps at the border', BASES, 'mirrored = taps % (2 * length)',
     'mirrored = taps.clip(0, length - 1)', 'test_ops/test_bases.py'),
    # Losses.
    ('divisor without + 1', CE, '(valid + 1)', 'valid.clamp(min=1)', LOSS_TESTS),
    ('ignored pixels in the divisor', CE, '(label != ignore_index)', '(label >= 0)', LOSS_TESTS),
    ('logistic sign', DE_LOSS, 'F.softplus(-targets', 'F.softplus(targets', LOSS_TESTS),
    ('DE loss at void', DE_LOSS, ' * targets.abs()', '', LOSS_TESTS),
    ('unlabelled image counts', DE_LOSS, '(loss * labelled).mean()', 'loss.mean()', LOSS_TESTS),
    # Transforms and the data preprocessor.
    ('canvas padding below and right', 'datasets/transforms/resize_to_canvas.py',
     '-((height - canvas[0]) // 2)', '(canvas[0] - height) // 2',
     'test_datasets/test_transforms/test_resize_to_canvas.py'),
    ('greatest step never drawn', SCALES, 'self.steps[1] + 1)', 'self.steps[1])', SCALE_TESTS),
    ('ratio of the short side', SCALES, 'int(drawn * max(size) + 0.5)',
     'int(drawn * min(size) + 0.5)', SCALE_TESTS),
    ('a scale per image', 'datasets/one_scale_per_batch.py', 'scaling.drawn = drawn',
     'scaling.drawn = None', 'test_datasets/test_one_scale_per_batch.py'),
    ('canvas padding keeps its colour', PREPROCESSOR,
     "sample.get('padding_size', (0, 0, 0, 0))", '0, 0, 0, 0', PREPROCESSOR_TESTS),
    # Metrics.
    ('band a pixel too wide', 'ops/boundary_band.py', '(label_boundaries(labels)), -0.5',
     '(label_boundaries(labels)), 0.5', METRIC_TESTS),
    ('bands without the narrower ones', NEAR_BOUNDARIES, 'areas[:, :-1].cumsum(axis=1)',
     'areas[:, :-1]', METRIC_TESTS),
    ('ignored pixels counted', 'evaluation/image_areas.py',
     'group[label == num_classes] = num_groups', 'group[label == num_classes] = 0', METRIC_TESTS),
    ('ignored pixels make inner bands', 'ops/boundary_band.py', ' * (strip < num_classes)', '',
     METRIC_TESTS),
    ('recall of the prediction', NEAR_BOUNDARIES, '*near(own, points)', '*near(points, own)',
     METRIC_TESTS),
    ('boundaries of any class', 'ops/boundary_band.py', '[1, 1, reach + 1]', '[1, 1, 0]',
     METRIC_TESTS),
    ('prediction and label areas swapped', 'ops/class_areas.py',
     'confusion.sum(axis=1), confusion.sum(axis=2)', 'confusion.sum(axis=2), confusion.sum(axis=1)',
     f'{METRIC_TESTS} test_ops/test_class_areas.py'),
    ('server classes off by one', 'evaluation/metrics/submission.py', '[classes]',
     '[classes - 1]', 'test_evaluation/test_submission.py'),
    # Converters.
    ('filters turned on the way here', 'converters/matconvnet.py', 'transpose(3, 2, 0, 1)',
     'transpose(3, 2, 1, 0)', CONVERTER_TESTS),
    ('filters turned on the way back', 'converters/matconvnet.py', 'transpose(2, 3, 1, 0)',
     'transpose(3, 2, 1, 0)', CONVERTER_TESTS),
    ('deviation multiplied', '../tools/model_converters/mmseg2matconvnet.py',
     'double() / torch.tensor(known', 'double() * torch.tensor(known', CONVERTER_TESTS),
    # Segmentors and the CRF.
    ('halves without overlap', SEGMENTOR, '((0, 35), (29, 64))', '((0, 32), (32, 64))',
     SEGMENTOR_TESTS),
    ('padding cut on the other side', RESTORE, 'left:width - right', 'right:width - left',
     SEGMENTOR_TESTS),
    ('flip not undone', RESTORE, 'area = area.flip(_FLIPPED_AXES', 'area.flip(_FLIPPED_AXES',
     SEGMENTOR_TESTS),
    ('sum for the maximum', 'models/segmentors/lrr_tta.py', "if self.fusion == 'max':",
     "if self.fusion == 'none':", SEGMENTOR_TESTS),
    ('CRF sees BGR', RESTORE, "crf(image[..., ::-1].copy()", "crf(image.copy()",
     SEGMENTOR_TESTS),
    ('message subtracted', 'ops/mean_field.py', 'energies += slice_points',
     'energies -= slice_points', CRF_TESTS),
    ('lattice scale of the next dimension', 'ops/permutohedral.py', 'weights /= 1 + 2.0**-dims',
     'weights /= 1 + 2.0**-(dims + 1)', CRF_TESTS),
    ('colours scaled as places', 'models/post_processing/dense_crf.py',
     'features[2:] /= self.bilateral_std_rgb', 'features[2:] /= self.bilateral_std_xy', CRF_TESTS),
    # Hooks.
    ('momentum kept', 'engine/hooks/reset_momentum_hook.py', "['momentum_buffer'].zero_()",
     "['momentum_buffer']", 'test_engine/test_reset_momentum_hook.py'),
    ('bases of a checkpoint replaced', 'engine/hooks/class_bases_hook.py',
     'if not head.bases_loaded}', 'if head is not None}', 'test_engine/test_class_bases_hook.py'),
]


def run(copy: Path, targets: str) -> tuple[int, str]:
    """Run some tests of the copy; returns pytest's status and its last line."""
    command = [sys.executable, '-m', 'pytest', '-q', '-x', '-n', '0', '-p', 'no:cacheprovider',
               '-m', 'not slow', '--tb=no', *(f'tests/{one}' for one in targets.split())]
    # No bytecode: a line may be changed and put back within the time that it is stamped with.
    done = subprocess.run(command, cwd=copy, capture_output=True, text=True, env={
        **os.environ, 'PYTHONPATH': str(copy), 'PYTHONDONTWRITEBYTECODE': '1'})
    return done.returncode, (done.stdout.strip() or done.stderr.strip()).split('\n')[-1]


def main() -> int:
    """Try the mutations; the status is the number of those that are not caught."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('words', nargs='*', help='words that names must contain; none: all')
    parser.add_argument('--all', action='store_true', help='run the whole default suite')
    args = parser.parse_args()
    rows = [row for row in MUTATIONS
            if not args.words or any(word in row[0] for word in args.words)]
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / 'repository'
        shutil.copytree(
            ROOT, copy, ignore=shutil.ignore_patterns('.git', 'work_dirs', '*.egg-info'))
        if (ROOT.parent / 'shared').is_dir():  # real data, where there is some
            (Path(folder) / 'shared').symlink_to((ROOT.parent / 'shared').resolve())
        for name, file, old, *_ in rows:
            count = (copy / 'mmseg_lrr' / file).read_text().count(old)
            if count != 1:
                sys.exit(f'{name}: {old!r} is {count} times in {file}, expected once')
        targets = sorted({target for row in rows for target in row[4].split()})
        status, line = run(copy, '' if args.all else ' '.join(targets))
        print(f'unchanged: {line}', flush=True)
        if status:
            sys.exit('the tests must pass without any change')
        survivors = []
        for name, file, old, new, targets in rows:
            path = copy / 'mmseg_lrr' / file
            text = path.read_text()
            path.write_text(text.replace(old, new))
            started = time.perf_counter()
            status, line = run(copy, '' if args.all else targets)
            path.write_text(text)
            if status not in (0, 1):
                sys.exit(f'{name}: pytest ended with {status}: {line}')
            if not status:
                survivors.append(name)
            print(f'{"caught" if status else "SURVIVED":9}{name} '
                  f'({time.perf_counter() - started:.0f} s; {line})', flush=True)
    print(f'{len(rows) - len(survivors)} of {len(rows)} caught'
          + (f'; survived: {", ".join(survivors)}' if survivors else ''))
    return len(survivors)


if __name__ == '__main__':
    sys.exit(main())
