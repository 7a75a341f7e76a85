"""The field's numbers: mIoU and IoU (`iou`), RayIoU (`ray_iou`), and both over a set (`accumulators`)."""
