"""Segmenter: the outline of what lies in a box, by SAM (image-tools.md §2.2, 7).

Takes an RGB picture and boxes in its pixels, gives a mask for each. All sizes are read from the tensors; the
head count of the mask decoder comes from ``sam.json`` in the file's companion folder, or is SAM's own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F
from transformers import SamConfig, SamModel

from fooocus_engine.errors import BadModelFile
from fooocus_engine.models.companion import read_told
from fooocus_engine.models.weights import assign, built, read_weights
from fooocus_engine.vision.detector import PixelBox
from fooocus_engine.vision.names import Rule, counted, renamed
from fooocus_engine.vision.pixels import Channels, normalised

MEAN: Channels = (123.675, 116.28, 103.53)  # per channel of 0–255 RGB
DEVIATION: Channels = (58.395, 57.12, 57.375)
AT_ONCE = 32  # boxes; bounds the memory
DECODER_HEADS = 8
TOLD = "sam.json"

RULES: tuple[Rule, ...] = (
    (r"^image_encoder\.", "vision_encoder."),
    (r"^vision_encoder\.patch_embed\.proj\.", "vision_encoder.patch_embed.projection."),
    (r"^vision_encoder\.blocks\.", "vision_encoder.layers."),
    (r"^vision_encoder\.neck\.0\.", "vision_encoder.neck.conv1."),
    (r"^vision_encoder\.neck\.1\.", "vision_encoder.neck.layer_norm1."),
    (r"^vision_encoder\.neck\.2\.", "vision_encoder.neck.conv2."),
    (r"^vision_encoder\.neck\.3\.", "vision_encoder.neck.layer_norm2."),
    (r"\.norm(\d|_final_attn)\.", r".layer_norm\1."),
    (r"\.pe_layer\.positional_encoding_gaussian_matrix$", ".shared_embedding.positional_embedding"),
    (r"\.point_embeddings\.", ".point_embed."),
    (r"\.mask_downscaling\.0\.", ".mask_embed.conv1."),
    (r"\.mask_downscaling\.1\.", ".mask_embed.layer_norm1."),
    (r"\.mask_downscaling\.3\.", ".mask_embed.conv2."),
    (r"\.mask_downscaling\.4\.", ".mask_embed.layer_norm2."),
    (r"\.mask_downscaling\.6\.", ".mask_embed.conv3."),
    (r"\.output_upscaling\.0\.", ".upscale_conv1."),
    (r"\.output_upscaling\.1\.", ".upscale_layer_norm."),
    (r"\.output_upscaling\.3\.", ".upscale_conv2."),
    (r"(output_hypernetworks_mlps\.\d+|iou_prediction_head)\.layers\.0\.", r"\1.proj_in."),
    (r"(output_hypernetworks_mlps\.\d+|iou_prediction_head)\.layers\.2\.", r"\1.proj_out."),
    (r"(output_hypernetworks_mlps\.\d+|iou_prediction_head)\.layers\.1\.", r"\1.layers.0."),
)
_SHARED = "prompt_encoder.shared_embedding.positional_embedding"
_LAYER = r"^vision_encoder\.layers\.(\d+)\."


@dataclass(frozen=True, eq=False)
class Segmenter:
    """The network, in float32."""

    network: Any
    """transformers' ``SamModel`` in evaluation mode."""
    device: torch.device

    @classmethod
    def load(cls, path: Path, device: torch.device) -> Segmenter:
        """The segmenter of a file.

        Raises:
            ModelUnavailable: there is no such file.
            BadModelFile: a weight is missing, or sizes do not fit together.
        """
        tensors = renamed(read_weights(path), RULES)
        if _SHARED in tensors:  # one matrix under two names
            tensors["shared_image_embedding.positional_embedding"] = tensors[_SHARED]
        config = _config(tensors, read_told(path, TOLD), path.name)
        network = built(lambda: SamModel(config), file=path.name, part="segmenter")
        assign(network, tensors, file=path.name, part="segmenter", convert=lambda _, t: t.to(device, torch.float32))
        return cls(network, device)

    @property
    def side(self) -> int:
        """Pixels of the square that it looks at."""
        return int(self.network.config.vision_config.image_size)

    @torch.no_grad()
    def masks(self, image: Image.Image, boxes: Sequence[PixelBox]) -> Iterator[NDArray[np.bool_]]:
        """What lies in each of ``boxes``, ``[height, width]``."""
        features = self.network.get_image_embeddings(prepared(image, self.side).to(self.device))
        for first in range(0, len(boxes), AT_ONCE):
            for logits in self._logits(features, image.size, boxes[first : first + AT_ONCE]):
                yield self._enlarged(logits, image.size)

    def _logits(self, features: Tensor, size: tuple[int, int], boxes: Sequence[PixelBox]) -> Tensor:
        """``[n, h, w]`` for n boxes."""
        (width, height), (inner_width, inner_height) = size, fitted(size, self.side)
        scale = torch.tensor([inner_width / width, inner_height / height] * 2)
        given = (torch.tensor([list(box) for box in boxes]) * scale)[None].to(self.device)
        made = self.network(image_embeddings=features, input_boxes=given, multimask_output=False)
        masks: Tensor = made.pred_masks[0, :, 0]
        return masks

    def _enlarged(self, logits: Tensor, size: tuple[int, int]) -> NDArray[np.bool_]:
        """The mask ``[height, width]`` of ``logits [h, w]``: over the square, without its edge, at the picture's."""
        square = _bilinear(logits[None, None], (self.side, self.side))
        width, height = fitted(size, self.side)
        picture = _bilinear(square[..., :height, :width], (size[1], size[0]))
        mask: NDArray[np.bool_] = (picture[0, 0] > 0).cpu().numpy()
        return mask


def fitted(size: tuple[int, int], side: int) -> tuple[int, int]:
    """(width, height) of a picture whose longer side is brought to ``side``."""
    scale = side / max(size)
    width, height = (int(length * scale + 0.5) for length in size)
    return width, height


def prepared(image: Image.Image, side: int) -> Tensor:
    """``image`` (RGB) as ``[1, 3, side, side]``: fitted, by mean and deviation, with zeros right of it and below."""
    width, height = fitted(image.size, side)
    values = np.asarray(image.resize((width, height), Image.Resampling.BILINEAR), np.float32)
    shown = torch.from_numpy(normalised(values, MEAN, DEVIATION))
    return F.pad(shown.permute(2, 0, 1)[None], (0, side - width, 0, side - height))


def _bilinear(planes: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(planes, size=size, mode="bilinear", align_corners=False)


def _config(tensors: Mapping[str, Tensor], told: Mapping[str, Any], file: str) -> SamConfig:
    try:
        channels = len(tensors["vision_encoder.neck.conv1.weight"])
        seen = _vision_sizes(tensors) | {"output_channels": channels}
        given = {key: seen[key] for key in ("image_size", "patch_size")} | {
            "hidden_size": channels,
            "mask_input_channels": len(tensors["prompt_encoder.mask_embed.conv2.weight"]),
        }
        drawn = _decoder_sizes(tensors) | {
            "hidden_size": channels,
            "num_attention_heads": told.get("decoder_heads", DECODER_HEADS),
        }
    except KeyError as error:
        raise BadModelFile(f"{file}: the segmenter lacks {error.args[0]}") from error
    except (ValueError, IndexError, ZeroDivisionError) as error:
        raise BadModelFile(f"{file}: the segmenter has weights of unexpected shape: {error}") from error
    return SamConfig(vision_config=seen, prompt_encoder_config=given, mask_decoder_config=drawn)


def _vision_sizes(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    width, _, patch, _ = tensors["vision_encoder.patch_embed.projection.weight"].shape
    grid = tensors["vision_encoder.pos_embed"].shape[1]
    layers = counted(tensors, _LAYER)
    tables = [tensors[f"vision_encoder.layers.{n}.attn.rel_pos_h"].shape for n in range(layers)]
    reach = [(length + 1) // 2 for length, _ in tables]  # patches that a layer sees in one direction
    return {
        "image_size": grid * patch,
        "patch_size": patch,
        "hidden_size": width,
        "num_hidden_layers": layers,
        "num_attention_heads": width // tables[0][1],
        "mlp_dim": len(tensors["vision_encoder.layers.0.mlp.lin1.weight"]),
        "window_size": min(reach),
        "global_attn_indexes": [n for n, patches in enumerate(reach) if patches == grid],
        "num_pos_feats": tensors[_SHARED].shape[1],
    }


def _decoder_sizes(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    down, up = tensors["mask_decoder.transformer.final_attn_token_to_image.q_proj.weight"].shape
    return {
        "mlp_dim": len(tensors["mask_decoder.transformer.layers.0.mlp.lin1.weight"]),
        "num_hidden_layers": counted(tensors, r"^mask_decoder\.transformer\.layers\.(\d+)\."),
        "attention_downsample_rate": up // down,
        "num_multimask_outputs": len(tensors["mask_decoder.mask_tokens.weight"]) - 1,
        "iou_head_depth": counted(tensors, r"^mask_decoder\.iou_prediction_head\.layers\.(\d+)\.") + 2,
        "iou_head_hidden_dim": len(tensors["mask_decoder.iou_prediction_head.proj_in.weight"]),
    }
