import math

import pytest
import torch
from torch import nn

from tsad.errors import SpecError
from tsad.models.adversarial_transformer import AdversarialTransformerSpec
from tsad.models.layers import Attention, AttentionBlock, StepPooling, sinusoidal_positions
from tsad.models.transformer_ae import TransformerAutoencoderSpec
from tsad.spec import parse

FEATURES, LENGTH = 5, 24


def autoencoder(**keys):
    torch.manual_seed(0)
    return TransformerAutoencoderSpec(kind="transformer_ae", **keys).build(FEATURES, LENGTH).eval()


def adversarial(**keys):
    torch.manual_seed(0)
    return AdversarialTransformerSpec(kind="adversarial_transformer", **keys).build(FEATURES, LENGTH).eval()


def windows(count=4):
    return torch.randn(count, LENGTH, FEATURES, generator=torch.Generator().manual_seed(1))


def test_positions_are_sines_and_cosines_of_falling_rates():
    codes = sinusoidal_positions(50, 6)
    assert codes[3].tolist() == pytest.approx(
        [value for rate in (1, 1e4 ** (-2 / 6), 1e4 ** (-4 / 6)) for value in (math.sin(3 * rate), math.cos(3 * rate))],
        abs=1e-6,
    )
    assert sinusoidal_positions(4, 7).shape == (4, 7)


def test_attention_equals_torchs_own():
    torch.manual_seed(0)
    ours, reference = Attention(8, 2), nn.MultiheadAttention(8, 2, batch_first=True)
    with torch.no_grad():
        reference.in_proj_weight.copy_(torch.cat([ours.query.weight, ours.memory.weight]))
        reference.in_proj_bias.copy_(torch.cat([ours.query.bias, ours.memory.bias]))
    reference.out_proj.load_state_dict(ours.output.state_dict())
    steps, memory = torch.randn(3, 7, 8), torch.randn(3, 11, 8)
    assert torch.allclose(ours(steps, memory), reference(steps, memory, memory)[0], atol=1e-6)


def test_a_head_of_a_coarser_scale_sees_means_of_neighboring_steps():
    torch.manual_seed(0)
    attention = Attention(8, 2, scales=2)
    attention.output = nn.Identity()
    steps = torch.randn(1, 6, 8)
    within, between = steps[:, [1, 0, 2, 3, 4, 5]], steps[:, [2, 1, 0, 3, 4, 5]]  # pairs are 0 1, 2 3, 4 5
    heads = [attention(steps[:, :1], memory).chunk(2, dim=-1) for memory in (steps, within, between)]
    fine, coarse = zip(*heads, strict=True)
    assert torch.allclose(fine[0], fine[1], atol=1e-6)  # attention alone knows no order
    assert torch.allclose(fine[0], fine[2], atol=1e-6)
    assert torch.allclose(coarse[0], coarse[1], atol=1e-6)
    assert not torch.allclose(coarse[0], coarse[2], atol=1e-3)


def test_a_block_without_a_memory_needs_none():
    block = AttentionBlock(8, 2)
    assert block(torch.randn(2, 5, 8)).shape == (2, 5, 8)
    assert AttentionBlock(8, 2, reads_memory=True)(torch.randn(2, 5, 8), torch.randn(2, 3, 8)).shape == (2, 5, 8)


@pytest.mark.parametrize(("length", "size"), [(8, 4), (9, 4), (3, 4), (1, 4), (7, 1), (5, 100)])
def test_pooled_steps_are_means_and_spread_back_to_the_window(length, size):
    pooling, signal = StepPooling(size), torch.randn(2, length, 3)
    pooled = pooling(signal)
    groups = signal.split(size, dim=1)
    assert torch.allclose(pooled, torch.stack([group.mean(dim=1) for group in groups], dim=1), atol=1e-6)
    spread = pooling.spread(pooled, length)
    assert spread.shape == signal.shape
    assert torch.equal(spread[:, -1], pooled[:, -1])


@pytest.mark.parametrize("keys", [{}, {"stem": "tcn"}, {"scales": 3}, {"pooling": 100}, {"latent": 1, "depth": 1}])
def test_every_option_reconstructs_the_whole_window(keys):
    prediction = autoencoder(**keys)(windows())
    assert prediction.values.shape == (4, LENGTH, FEATURES)
    assert prediction.embedding.shape == (4, keys.get("latent", 4))


def test_the_bottleneck_is_all_that_the_decoder_knows():
    model = autoencoder(latent=2, pooling=6)
    seen = []
    model.expand.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    model(windows())
    groups = seen[0].reshape(4, 4, 6, 2)
    assert torch.equal(groups, groups[:, :, :1].expand(4, 4, 6, 2))


def test_order_matters_to_a_transformer():
    assert not torch.allclose(
        autoencoder()(windows().flip(1)).values, autoencoder()(windows()).values.flip(1), atol=1e-3
    )


def test_the_decoder_reads_the_window_through_a_narrow_memory():
    model, widths = adversarial(memory=3), []
    model.widen.register_forward_pre_hook(lambda module, inputs: widths.append(inputs[0].shape))
    prediction = model(windows())
    assert widths == [(4, LENGTH, 3)]
    assert prediction.values.shape == (4, LENGTH, FEATURES)
    assert prediction.embedding.shape == (4, 32)


def test_the_residual_generator_adds_to_the_reconstruction():
    model = adversarial()
    corrected = model(windows()).values
    correction = []
    model.generator.register_forward_hook(lambda module, inputs, output: correction.append(output) or 0 * output)
    assert torch.allclose(model(windows()).values + correction[0], corrected, atol=1e-5)
    assert correction[0].abs().max() > 0


def test_noise_is_drawn_in_training_and_silent_in_use():
    model = adversarial()
    assert torch.equal(model(windows()).values, model(windows()).values)
    model.train()
    assert not torch.equal(model(windows()).values, model(windows()).values)


def test_the_embedding_is_a_projection_of_the_mean_pooled_latent():
    model = adversarial(latent=7)
    pooled = []
    model.pool.register_forward_hook(lambda module, inputs, output: pooled.append((inputs[0], output)))
    prediction = model(windows())
    assert pooled[0][0].shape == (4, 64)
    assert torch.equal(prediction.embedding, model.project(pooled[0][1]))


@pytest.mark.parametrize("spec", [TransformerAutoencoderSpec, AdversarialTransformerSpec])
def test_heads_must_share_the_width(spec):
    kind = spec.model_fields["kind"].annotation.__args__[0]
    with pytest.raises(
        SpecError, match="width must be a multiple of heads, but got width=30 and heads=4; take width=28"
    ):
        parse(spec, {"kind": kind, "width": 30, "heads": 4}, "model")


def test_every_scale_needs_a_head():
    with pytest.raises(SpecError, match="every scale needs a head, but got scales=4 and heads=2"):
        parse(TransformerAutoencoderSpec, {"kind": "transformer_ae", "heads": 2, "scales": 4}, "model")
