"""The authors' PASCAL VOC images under mmseg's recipe: 512x512 crops at any place and scale."""
_base_ = './pascal_voc12aug.py'
train_dataloader = dict(dataset=dict(ann_file='ImageSets/Segmentation/lrr_train.txt'))
val_dataloader = dict(dataset=dict(ann_file='ImageSets/Segmentation/seg11valid.txt'))
test_dataloader = val_dataloader
