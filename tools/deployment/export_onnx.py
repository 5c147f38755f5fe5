# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Write a config's model as ONNX, for images of any size."""

import argparse

from mmengine.config import Config, DictAction


def main() -> None:
    """Parse, export, print the outputs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('out', help='ONNX file to write')
    parser.add_argument('--levels', action='store_true', help='every level as an output too')
    parser.add_argument('--labels', action='store_true',
                        help='the classes of the best scores (N, H, W) in place of the scores')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction,
                        help='override settings of the config, key=value')
    args = parser.parse_args()
    # Here, so that --help does not wait for torch; the package before mmseg.
    from mmseg_lrr.apis.checkpoint_check import check_checkpoint
    from mmseg_lrr.apis.export import export_onnx
    from mmseg_lrr.apis.needed_files import need_files

    # isort: split
    from mmseg.apis import init_model

    config = Config.fromfile(args.config)
    need_files(config, checkpoint=args.checkpoint)
    model = init_model(config, device='cpu', cfg_options=args.cfg_options)
    check_checkpoint(model, args.checkpoint)
    outputs, shape, difference = export_onnx(
        model, args.out, level_outputs=args.levels, labels=args.labels)
    print(f'{args.out}: {"images" if shape[0] > 1 else "one image"} of any size -> '
          f'{", ".join(outputs)}\ncompared with the model on {"x".join(map(str, shape))} numbers: '
          f'the largest difference is {difference:.2g} '
          f'of the {"labels" if args.labels else "largest score"}')


if __name__ == '__main__':
    main()
