"""Layers that more than one model is built of."""

import math

import torch
import torch.nn.functional as fn
from torch import Tensor, nn


class DilatedResidual(nn.Module):
    """Two dilated convolutions beside a shortcut (Bai et al. 2018, without weight normalization, looking both ways)."""

    def __init__(self, inputs: int, channels: int, *, kernel: int, dilation: int, dropout: float) -> None:
        super().__init__()
        padding = dilation * (kernel - 1) // 2
        self.first = nn.Conv1d(inputs, channels, kernel, padding=padding, dilation=dilation)
        self.second = nn.Conv1d(channels, channels, kernel, padding=padding, dilation=dilation)
        self.shortcut = nn.Conv1d(inputs, channels, 1) if inputs != channels else nn.Identity()
        self.dropout = nn.Dropout(dropout)

    def forward(self, signal: Tensor) -> Tensor:
        """Returns (B, channels, L) for (B, inputs, L)."""
        inner = self.dropout(fn.relu(self.first(signal)))
        inner = self.dropout(fn.relu(self.second(inner)))
        shortcut: Tensor = self.shortcut(signal)
        return fn.relu(inner + shortcut)


def residual_stack(inputs: int, channels: int, *, depth: int, kernel: int, dropout: float) -> nn.Sequential:
    """Returns `depth` residual blocks, block i dilated 2^i, for (B, inputs, L) signals."""
    widths = [inputs] + [channels] * (depth - 1)
    return nn.Sequential(
        *(
            DilatedResidual(width, channels, kernel=kernel, dilation=2**layer, dropout=dropout)
            for layer, width in enumerate(widths)
        )
    )


class StepPooling(nn.Module):
    """The mean of every `size` steps, and the way back by repetition.

    The last group may be shorter; a `size` of L or more makes one group of the whole window.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, signal: Tensor) -> Tensor:
        """Returns (B, ceil(L / size), D) for (B, L, D)."""
        return fn.avg_pool1d(signal.transpose(1, 2), self.size, ceil_mode=True).transpose(1, 2)

    def spread(self, pooled: Tensor, length: int) -> Tensor:
        """Returns (B, length, D), each group's mean at all its steps."""
        return pooled.repeat_interleave(self.size, dim=1)[:, :length]


def sinusoidal_positions(length: int, width: int) -> Tensor:
    """Returns the (length, width) position codes of Vaswani et al. 2017, section 3.5, for an even or odd width."""
    position = torch.arange(length, dtype=torch.float32)[:, None]
    rate = torch.exp(torch.arange(0, width, 2, dtype=torch.float32) * (-math.log(10_000.0) / width))
    codes = torch.zeros(length, width)
    codes[:, 0::2] = torch.sin(position * rate)
    codes[:, 1::2] = torch.cos(position * rate)[:, : width // 2]
    return codes


class Attention(nn.Module):
    """Multi-head attention (Vaswani et al. 2017), with keys and values that may be seen at several scales.

    With `scales` above 1, head h sees keys and values averaged over 2^(h mod scales) steps: some heads attend to single
    steps, others to the course of the window. Pooling keys and values is from Fan et al. 2021 (section 3.1); giving
    each head a scale of its own, in place of each stage, is our departure.

    Args:
        width: Number of channels of the input and output steps; a multiple of `heads`.
        heads: Parallel attentions.
        scales: How many scales the heads share, at most `heads`.
        dropout: Dropout of attention weights.
    """

    def __init__(self, width: int, heads: int, *, scales: int = 1, dropout: float = 0.0) -> None:
        super().__init__()
        self.heads, self.scales, self.dropout = heads, scales, dropout
        self.query = nn.Linear(width, width)
        self.memory = nn.Linear(width, 2 * width)
        self.output = nn.Linear(width, width)

    def forward(self, steps: Tensor, memory: Tensor) -> Tensor:
        """Returns (B, L, width), what each step of (B, L, width) reads from (B, M, width)."""
        query = self._split(self.query(steps))  # (B, heads, L, width / heads)
        key, value = (self._split(part) for part in self.memory(memory).chunk(2, dim=-1))
        read = torch.empty_like(query)
        for scale in range(self.scales):
            mine = slice(scale, None, self.scales)
            keys, values = (_pooled(part[:, mine], 2**scale) for part in (key, value))
            read[:, mine] = fn.scaled_dot_product_attention(
                query[:, mine], keys, values, dropout_p=self.dropout if self.training else 0.0
            )
        joined: Tensor = self.output(read.transpose(1, 2).flatten(start_dim=2))
        return joined

    def _split(self, steps: Tensor) -> Tensor:
        return steps.reshape(*steps.shape[:2], self.heads, -1).transpose(1, 2)


def _pooled(part: Tensor, size: int) -> Tensor:
    """Returns (B, heads, ceil(M / size), width) means of (B, heads, M, width)."""
    if size == 1:
        return part
    batch, heads, _, width = part.shape
    flat = part.transpose(2, 3).reshape(batch, heads * width, -1)
    pooled = fn.avg_pool1d(flat, size, ceil_mode=True)
    return pooled.reshape(batch, heads, width, -1).transpose(2, 3)


class AttentionBlock(nn.Module):
    """Self-attention, optional attention to a memory, and a feed-forward layer of four times the width.

    Each is normalized before and added after ("pre-norm", Xiong et al. 2020), which trains without a warm-up.

    Args:
        width: Number of channels of a step.
        heads: As in `Attention`.
        scales: Scales of the self-attention, as in `Attention`.
        dropout: Dropout of attention weights and of the output of each part.
        reads_memory: Whether the block also attends to a memory.
    """

    def __init__(
        self, width: int, heads: int, *, scales: int = 1, dropout: float = 0.0, reads_memory: bool = False
    ) -> None:
        super().__init__()
        self.own_norm, self.own = nn.LayerNorm(width), Attention(width, heads, scales=scales, dropout=dropout)
        self.memory_norm = nn.LayerNorm(width) if reads_memory else None
        self.reading = Attention(width, heads, dropout=dropout) if reads_memory else None
        self.feed = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, steps: Tensor, memory: Tensor | None = None) -> Tensor:
        """Returns (B, L, width) for (B, L, width) steps and, if the block reads one, a (B, M, width) memory."""
        normed: Tensor = self.own_norm(steps)
        steps = steps + self.dropout(self.own(normed, normed))
        if self.reading is not None and self.memory_norm is not None and memory is not None:
            steps = steps + self.dropout(self.reading(self.memory_norm(steps), memory))
        fed: Tensor = steps + self.dropout(self.feed(steps))
        return fed


class Stem(nn.Module):
    """The way in: steps of F features become steps of the width, with their positions added.

    Args:
        kind: `linear`, each step on its own; `tcn`, two dilated residual convolutions, so that a step knows its
            neighbors before the first attention.
        features: F.
        length: L.
        width: Number of channels of the output steps.
    """

    positions: Tensor

    def __init__(self, kind: str, features: int, length: int, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(features, width)
        self.convolutions = residual_stack(width, width, depth=2, kernel=3, dropout=0.0) if kind == "tcn" else None
        self.register_buffer("positions", sinusoidal_positions(length, width), persistent=False)

    def forward(self, windows: Tensor) -> Tensor:
        """Returns (B, L, width) for (B, L, F)."""
        steps: Tensor = self.linear(windows)
        if self.convolutions is not None:
            steps = self.convolutions(steps.transpose(1, 2)).transpose(1, 2)
        return steps + self.positions


def require_even_heads(width: int, heads: int, scales: int = 1) -> None:
    """Raises ValueError unless `heads` share `width` evenly and there is a head for each scale."""
    if width % heads:
        raise ValueError(
            f"width must be a multiple of heads, but got width={width} and heads={heads}; take "
            f"width={heads * max(1, width // heads)}"
        )
    if scales > heads:
        raise ValueError(
            f"every scale needs a head, but got scales={scales} and heads={heads}; take more heads or fewer scales"
        )
