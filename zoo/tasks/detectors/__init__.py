"""Detectors encode boxes as targets and decode outputs to boxes: SSD and the YOLOs.

A model for detection names its detector in ``@register(detector=...)``. All speak of boxes (top, left, bottom, right)
as shares of the image's sides, and of objects as rows (class, top, left, bottom, right), the class -1 where there is no
further object.
"""

from zoo.tasks.detectors.detector import Detector
from zoo.tasks.detectors.ssd import SSD
from zoo.tasks.detectors.yolo_v1 import YoloV1
from zoo.tasks.detectors.yolo_v3 import YoloV3, find_anchors

__all__ = ["SSD", "Detector", "YoloV1", "YoloV3", "find_anchors"]
