"""The authors' VOC training images and COCO's under mmseg's recipe, tested on VOC."""
_base_ = './pascal_voc_512x512.py'
voc_train = {{_base_.train_dataloader.dataset}}
coco_train = dict(
    type='PascalVOCDataset',
    data_root='data/coco',
    data_prefix=dict(img_path='.', seg_map_path='SegmentationClassVOC'),
    ann_file='ImageSets/Segmentation/voc20.txt',
    pipeline={{_base_.train_pipeline}})
train_dataloader = dict(
    dataset=dict(_delete_=True, type='ConcatDataset', datasets=[voc_train, coco_train]))
