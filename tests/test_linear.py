"""The faster matrix product against PyTorch's own, wherever it is taken and wherever it is not."""

import pytest
import torch as th
from torch.nn import functional

from modules import linear as module
from modules.linear import FEW_ROWS, MANY_ROWS, Linear, linear, product

MANY = FEW_ROWS + 3
needs_one_dnn = pytest.mark.skipif(module.one_dnn() is None, reason="this PyTorch has no oneDNN")


PRODUCTS = [pytest.param(True, id="oneDNN", marks=needs_one_dnn), pytest.param(False, id="plain")]


@pytest.fixture(autouse=True, params=PRODUCTS)
def one_dnn(request, monkeypatch):
    """Either product, whatever this processor takes."""
    operator = module.one_dnn() if request.param else None
    monkeypatch.setattr(module, "ONE_DNN", operator)
    return operator


@pytest.mark.parametrize(
    ("vendor", "family", "gain"),
    [("AuthenticAMD", 25, False), ("AuthenticAMD", 26, True), ("GenuineIntel", 26, False), ("GenuineIntel", 6, False)],
)
def test_oneDNN_is_taken_where_it_gains(vendor, family, gain):  # noqa: N802  its name
    assert module.gains(f"processor\t: 0\nvendor_id\t: {vendor}\ncpu family\t: {family}\nmodel\t\t: 17\n") is gain
    assert not module.gains("CPU architecture: 8\n")


def layouts(out, size):
    """Return the same kind of weight (O, K) as it lies in memory in the networks."""
    wide = th.randn(out, 3 * size)
    return {"whole": th.randn(out, size), "turned": th.randn(size, out).t(), "columns": wide[:, size : 2 * size]}


@pytest.mark.parametrize("layout", ["whole", "turned", "columns"])
@pytest.mark.parametrize("shape", [(MANY,), (3, MANY), (2, 2), (), (0,)], ids=str)
@pytest.mark.parametrize("out", [5, 1])
@pytest.mark.parametrize("bias", [True, False])
def test_it_is_the_ordinary_linear_layer_in_value_and_gradient(layout, shape, out, bias):
    th.manual_seed(0)
    x = th.randn(*shape, 7, requires_grad=True)
    weight = layouts(out, 7)[layout].requires_grad_()
    b = th.randn(out, requires_grad=True) if bias else None
    inputs = [x, weight, b] if bias else [x, weight]
    fast, plain = linear(x, weight, b), functional.linear(x, weight, b)
    th.testing.assert_close(fast, plain)
    grad = th.randn_like(plain)
    th.testing.assert_close(th.autograd.grad(fast, inputs, grad), th.autograd.grad(plain, inputs, grad))
    with th.no_grad():
        th.testing.assert_close(linear(x, weight, b), plain)


@pytest.mark.parametrize("out", [72, 67, 61])
def test_many_rows_are_the_same_in_blocks(out, monkeypatch):
    monkeypatch.setattr(module, "ONE_DNN", None)
    taken, in_blocks = [], module._in_blocks
    monkeypatch.setattr(module, "_in_blocks", lambda *args: taken.append(1) or in_blocks(*args))
    x, weight, bias = th.randn(MANY_ROWS + 5, 7), th.randn(out, 7), th.randn(out)
    th.testing.assert_close(product(x, weight, bias), functional.linear(x, weight, bias))
    assert len(taken) == (out == 67)


def test_gradients_arrive_in_any_layout():
    x, weight = th.randn(2, MANY, 7, requires_grad=True), th.randn(5, 7, requires_grad=True)
    for grad in (th.randn(2, 5, MANY).mT, th.ones(()).expand(2, MANY, 5), th.randn(MANY, 2, 5).transpose(0, 1)):
        found = th.autograd.grad(linear(x, weight), [x, weight], grad)
        th.testing.assert_close(found, th.autograd.grad(functional.linear(x, weight), [x, weight], grad))


def test_an_activation_may_overwrite_the_result():
    layer, x = Linear(7, 5), th.randn(2, MANY, 7)
    grads = [
        th.autograd.grad(form.square().sum(), [*layer.parameters()])
        for form in (functional.elu(layer(x), inplace=True), functional.elu(layer(x)))
    ]
    th.testing.assert_close(*grads)


def test_only_large_float32_products_on_the_cpu_take_the_faster_way(monkeypatch):
    taken = []

    def watched(x, *rest):
        taken.append(tuple(x.shape))
        return functional.linear(x, *rest[:2])

    monkeypatch.setattr(module, "ONE_DNN", watched)
    weight = th.randn(5, 7)
    for x in (th.randn(FEW_ROWS - 1, 7), th.randn(MANY, 7).double()):
        product(x, weight.to(x.dtype))
    assert taken == []
    product(th.randn(MANY, 7), weight)
    assert taken == [(MANY, 7)]
    monkeypatch.setattr(module, "ONE_DNN", None)
    product(th.randn(MANY, 7), weight)
    assert len(taken) == 1


@pytest.mark.parametrize(("out", "size"), [(128, 128), (128, 5), (5, 128)])
def test_oneDNN_never_sees_columns_of_a_larger_matrix_as_a_weight(out, size, monkeypatch, one_dnn):  # noqa: N802  its name
    if one_dnn is None:
        pytest.skip("the plain product takes any")
    laid_out = []

    def watched(x, weight, *rest):
        laid_out.append(weight.is_contiguous() or weight.t().is_contiguous())
        return one_dnn(x, weight, *rest)

    monkeypatch.setattr(module, "ONE_DNN", watched)
    columns = slice(size, 2 * size)
    for weight in layouts(out, size).values():
        for x in (th.randn(MANY, size), th.randn(MANY, 3 * size)[:, columns]):
            x, weight = x.requires_grad_(), weight.requires_grad_()
            grad = th.randn(MANY, 3 * out)[:, out : 2 * out]
            found = th.autograd.grad(linear(x, weight), [x, weight], grad)
            expected = th.autograd.grad(functional.linear(x, weight), [x, weight], grad)
            th.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert len(laid_out) >= 18 and all(laid_out)
