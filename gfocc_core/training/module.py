"""The Lightning module: a batch of clips to a loss, an optimizer and its schedule."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import lightning
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from gfocc_core.config import Config
from gfocc_core.data.color_jitter import apply_color
from gfocc_core.gaussians import Gaussians
from gfocc_core.geometry import CameraView, invert_transform
from gfocc_core.model import GaussianFlowNetwork
from gfocc_core.renderer import Rendered, RendererBackend, RenderViews, render_views
from gfocc_core.training.early_copy import EarlyCopy
from gfocc_core.training.losses import (
    LossConfig,
    WeightedSum,
    depth_loss,
    drop_far_labels,
    empty_loss,
    occupancy_loss,
    semantic_loss,
    thickness_loss,
)
from gfocc_core.training.schedule import OptimizerConfig, learning_rate_factor
from gfocc_core.training.unroll import Clip, run_clip
from gfocc_core.voxelizer import voxelize

Batch = Mapping[str, Any]
"""What data.TrainingDataset gives, collated: tensors with a leading [B]."""


class NonFiniteLossError(RuntimeError):
    """The loss became NaN or infinite; holds the tokens of the batch."""

    def __init__(self, step: int, tokens: list[str]) -> None:
        super().__init__(f"the loss is not finite at step {step}, keyframes {', '.join(tokens)}")
        self.tokens = tokens


class OccupancyLearner(lightning.LightningModule):
    """Trains a GaussianFlowNetwork from the weak labels of rendered neighbour frames."""

    def __init__(
        self,
        config: Config,
        loss: LossConfig,
        optimizer: OptimizerConfig,
        *,
        seed: int = 0,
        use_flow: bool = True,
        freeze_batch_norm: bool = False,
        pretrained_backbone: bool = False,
        renderer: RendererBackend = "auto",
    ) -> None:
        super().__init__()
        self.config, self.loss, self.optimizer = config, loss, optimizer
        self.seed, self.use_flow = seed, use_flow
        self.freeze_batch_norm, self.renderer = freeze_batch_norm, renderer
        self.network = GaussianFlowNetwork(config.model, config.grid, pretrained_backbone)
        self._last: tuple[EarlyCopy, list[str]] | None = None
        self.register_buffer("mean", torch.tensor(config.image.mean).view(3, 1, 1), False)
        self.register_buffer("std", torch.tensor(config.image.std).view(3, 1, 1), False)

    mean: Tensor
    std: Tensor

    def train(self, mode: bool = True) -> OccupancyLearner:
        super().train(mode)
        if self.freeze_batch_norm:
            for layer in self.network.modules():
                if isinstance(layer, nn.modules.batchnorm._BatchNorm):
                    layer.eval()
        return self

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        # Tied to the step, so that a resumed run draws the same dropout as one left alone.
        torch.manual_seed(
            hash((self.seed, self.global_step, batch_index, self.global_rank)) % 2**63
        )
        losses = self.losses(batch)
        total = sum(losses.values(), torch.zeros((), device=self.device))
        self._last = EarlyCopy(total), list(batch["token"])
        self._log("train", losses | {"loss": total}, len(batch["token"]))
        return total

    def on_after_backward(self) -> None:
        # Here and not in training_step: asking the GPU for the loss before backward is on its way
        # would leave it idle.
        assert self._last is not None
        loss, tokens = self._last
        if not math.isfinite(loss.read()):
            raise NonFiniteLossError(self.global_step, tokens)

    def validation_step(self, batch: Batch, batch_index: int) -> Tensor:
        losses = self.losses(batch)
        total = sum(losses.values(), torch.zeros((), device=self.device))
        self._log("val", losses | {"loss": total}, len(batch["token"]))
        return total

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Weighted losses of a batch by name, and the gradient's way to the network."""
        gaussians = run_clip(self.network, self.clip(batch))
        rendered = self.render(gaussians, batch)
        semantics, depth = drop_far_labels(
            batch["label_semantics"], batch["label_depth"], self.loss.max_depth
        )
        losses = {
            "semantic": self.loss.semantic_weight
            * self._mean(semantic_loss(rendered.logits, semantics, self.loss.class_weights))
        }
        if self.loss.depth_weight:
            error = depth_loss(rendered.depth, depth, self.loss.depth_error)
            losses["depth"] = self.loss.depth_weight * self._mean(error)
        if self.loss.thickness_weight:
            excess = thickness_loss(gaussians, self.loss.thickness)
            losses["thickness"] = self.loss.thickness_weight * excess
        if self.loss.empty_weight:
            empty = empty_loss(rendered.alpha, batch["label_depth"], self.loss.empty_depth)
            losses["empty"] = self.loss.empty_weight * self._mean(empty)
        if self.loss.occupancy_weight:
            losses["occupancy"] = self.loss.occupancy_weight * self._occupancy(gaussians, batch)
        return losses

    def render(self, gaussians: Gaussians, batch: Batch) -> Rendered:
        """The present's Gaussians in the cameras of every rendered step: leading [B, S]."""
        steps = batch["steps"]
        means = gaussians.means.unsqueeze(1).expand(-1, steps.shape[1], -1, -1)
        if self.use_flow:
            means = means + self.network.flow(gaussians, steps)
        count = steps.shape[1]
        per_step = {
            name: getattr(gaussians, name).unsqueeze(1).expand(-1, count, *[-1] * dims)
            for name, dims in (("scales", 2), ("quats", 2), ("logits", 2), ("features", 2))
        }
        moved = replace(
            gaussians,
            means=means.float(),
            opacities=gaussians.opacities.unsqueeze(1).expand(-1, count, -1),
            **per_step,
        )
        views = RenderViews(
            invert_transform(batch["label_ego_from_cam"]),
            batch["label_intrinsics"],
            (batch["label_semantics"].shape[-2], batch["label_semantics"].shape[-1]),
        )
        with torch.autocast(self.device.type, enabled=False):
            return render_views(moved, views, self.renderer)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        config, means = self.optimizer, self.network.initial_means
        groups: list[dict[str, Any]] = [{"params": list(self.parameters())}]
        if config.means_factor != 1:
            others = [parameter for parameter in self.parameters() if parameter is not means]
            rate = config.learning_rate * config.means_factor
            groups = [{"params": others}, {"params": [means], "lr": rate, "weight_decay": 0.0}]
        optimizer = torch.optim.AdamW(
            groups, lr=config.learning_rate, weight_decay=config.weight_decay
        )
        total = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: learning_rate_factor(self.optimizer, step, total)
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def clip(self, batch: Batch) -> Clip:
        """The images and poses of a batch, normalised."""
        count = batch["images"].shape[1]
        view = CameraView(
            cam_from_ego=invert_transform(batch["ego_from_cam"]),
            intrinsics=batch["intrinsics"],
            affine=batch["affine"].unsqueeze(1).expand(-1, count, -1, -1, -1),
            shift=batch["shift"].unsqueeze(1).expand(-1, count, -1, -1),
            valid=batch["camera_valid"],
            size=(self.config.image.height, self.config.image.width),
        )
        images = (apply_color(batch["color"], batch["images"]) - self.mean) / self.std
        return Clip(images, view, batch["global_from_ego"])

    def _occupancy(self, gaussians: Gaussians, batch: Batch) -> Tensor:
        with torch.autocast(self.device.type, enabled=False):
            full = replace(gaussians, logits=gaussians.logits.float())
            density, logits = voxelize(full, self.config.grid, self.config.occupancy.neighborhood)
        occupied, classes = occupancy_loss(
            density, logits, batch["occ3d_semantics"], batch["occ3d_mask"]
        )
        return self._mean(occupied) + self._mean(classes)

    def _mean(self, loss: WeightedSum) -> Tensor:
        """The mean over the pixels of all processes: as one process with all of the batch has it.

        Lightning averages gradients over processes, hence the factor world_size.
        """
        if self._trainer is None or self.trainer.world_size == 1:
            return loss.mean()
        count = loss.count.detach().clone()
        torch.distributed.all_reduce(count)
        return WeightedSum(loss.total * self.trainer.world_size, count).mean()

    def _log(self, stage: str, values: Mapping[str, Tensor], batch_size: int) -> None:
        if self._trainer is None:
            return
        for name, value in values.items():
            self.log(
                f"{stage}/{name}",
                value.detach(),
                prog_bar=name == "loss",
                on_step=stage == "train",
                on_epoch=stage == "val",
                sync_dist=True,
                batch_size=batch_size,
            )
