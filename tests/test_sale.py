"""SALE (MMSA §4.2): the normalisers, the factored layers over actions, the encoders f and g."""

import pytest
import torch as th
from fixtures_mmsa import onehots
from torch.nn.functional import elu, linear

from modules.sale import SALE, ActionLinear, Normaliser, avg_l1_norm


@pytest.fixture(autouse=True)
def double_precision():
    th.set_default_dtype(th.float64)
    th.manual_seed(0)
    yield
    th.set_default_dtype(th.float32)


def grads(value, inputs):
    return th.autograd.grad((value * th.arange(value.numel()).reshape(value.shape).cos()).sum(), inputs)


def test_avg_l1_norm_divides_by_the_mean_absolute_value():
    x = th.tensor([[1.0, -3.0, 2.0, -2.0], [0.0, 0.0, 0.0, 8.0]])
    th.testing.assert_close(avg_l1_norm(x), th.tensor([[0.5, -1.5, 1.0, -1.0], [0.0, 0.0, 0.0, 4.0]]))


def test_avg_l1_norm_has_mean_absolute_value_one_whatever_the_scale():
    x = th.randn(4, 5, 6) * th.logspace(-6, 6, 5)[:, None]
    th.testing.assert_close(avg_l1_norm(x).abs().mean(dim=-1), th.ones(4, 5))


def test_avg_l1_norm_of_nearly_nothing_stays_small_and_finite():
    x = th.tensor([[0.0, 0.0], [1e-9, -1e-9]], requires_grad=True)
    y = avg_l1_norm(x)
    th.testing.assert_close(y, th.tensor([[0.0, 0.0], [0.1, -0.1]]))
    assert th.isfinite(grads(y, x)[0]).all()


@pytest.mark.parametrize(
    ("name", "slow"),
    [
        ("avgl1", lambda x: x / x.abs().mean(dim=-1, keepdim=True)),
        ("none", lambda x: x),
        ("layer", lambda x: (x - x.mean(-1, True)) / (x.var(-1, unbiased=False, keepdim=True) + 1e-5).sqrt()),
        ("l2", lambda x: x / x.square().sum(dim=-1, keepdim=True).sqrt()),
        ("batch", lambda x: (x - x.mean((0, 1))) / (x.var((0, 1), unbiased=False) + 1e-5).sqrt()),
    ],
)
def test_each_normaliser_is_what_its_name_says(name, slow):
    x = 3 + 2 * th.randn(4, 5, 6)
    normalise = Normaliser(name, 6)
    th.testing.assert_close(normalise(x), slow(x))
    assert not list(normalise.parameters())


def test_the_batch_normaliser_judges_by_past_batches_outside_training():
    x = 3 + 2 * th.randn(4, 5, 6)
    normalise = Normaliser("batch", 6).eval()
    th.testing.assert_close(normalise(x), x / (1 + 1e-5) ** 0.5)


def test_an_unknown_normaliser_is_refused():
    with pytest.raises(ValueError, match="'avg'"):
        Normaliser("avg", 6)(th.ones(6))


@pytest.mark.parametrize("n_actors", [1, 3])
def test_action_linear_is_a_linear_layer_on_concatenated_one_hots(n_actors):
    layer = ActionLinear(4, n_actors, 5, 6)
    x, actions = th.randn(7, 2, 4, requires_grad=True), th.randint(5, (7, 2, n_actors))
    plain = layer.linear(th.cat([x, onehots(actions, 5)], dim=-1))
    fast = layer(x, actions)
    th.testing.assert_close(fast, plain)
    inputs = [x, layer.linear.weight, layer.linear.bias]
    th.testing.assert_close(grads(fast, inputs), grads(plain, inputs))


def test_action_linear_lists_every_action_of_one_actor():
    layer = ActionLinear(4, 1, 5, 6)
    x = th.randn(7, 2, 4)
    every = layer.every(x)
    assert every.shape == (7, 2, 5, 6)
    for a in range(5):
        th.testing.assert_close(every[:, :, a], layer(x, th.full((7, 2, 1), a)))


def test_action_linear_does_not_list_joint_actions():
    with pytest.raises(AssertionError, match="single actor"):
        ActionLinear(4, 3, 5, 6).every(th.randn(7, 4))


@pytest.mark.parametrize("n_actors", [1, 3])
def test_f_and_g_are_three_linear_layers_with_elu_between(n_actors):
    sale = SALE(4, n_actors, 5, 6, "avgl1")
    x, actions = th.randn(7, 2, 4), th.randint(5, (7, 2, n_actors))
    z, z_a = sale(x, actions)

    f = list(sale.f.layers.parameters())
    assert len(f) == 6
    slow = linear(elu(linear(elu(linear(x, f[0], f[1])), f[2], f[3])), f[4], f[5])
    th.testing.assert_close(z, slow / slow.abs().mean(dim=-1, keepdim=True))

    g = list(sale.g.parameters())
    assert len(g) == 6
    read = th.cat([z, onehots(actions, 5)], dim=-1)
    th.testing.assert_close(z_a, linear(elu(linear(elu(linear(read, g[0], g[1])), g[2], g[3])), g[4], g[5]))


@pytest.mark.parametrize("n_actors", [1, 3])
def test_an_action_starts_with_as_much_say_as_all_other_inputs_together(n_actors):
    layer = ActionLinear(64, n_actors, 5, 200)
    x, actions = th.randn(2000, 64), th.randint(5, (2000, n_actors))
    from_x = layer.x_part(x) - layer.linear.bias
    of_one_actor = layer.action_table.reshape(n_actors, 5, 200)[0][actions[:, 0]]
    assert (of_one_actor.std() / from_x.std()).item() == pytest.approx(1.0, abs=0.1)
