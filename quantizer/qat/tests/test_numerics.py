"""The forward pass against the NumPy model of docs/numerics.md, the backward pass against what it
stands for.
"""

import unittest

import numpy as np
import torch

from fqbert_qat import numerics, numpy_model


class Integers(unittest.TestCase):
    def test_softmax_is_the_documents_to_the_bit(self):
        rng = np.random.default_rng(1)
        for scale in (0.02, 0.1, 1.0):
            codes = rng.integers(-127, 128, (40, 24))
            codes[0] = 5
            mask = np.ones((40, 24), dtype=bool)
            for row in range(40):
                mask[row, rng.integers(1, 25) :] = False
            log_scale = torch.tensor(scale).log()
            x = torch.from_numpy(codes).float() * log_scale.exp()
            p = numerics.Softmax.apply(x, log_scale, torch.from_numpy(mask))
            table = numpy_model.exp_table(float(log_scale.exp()))
            for row in range(40):
                want = numpy_model.softmax_row(codes[row], 0, int(mask[row].sum()), table)
                self.assertTrue(
                    np.array_equal((p[row] * 255).round().numpy().astype(int), want), (scale, row)
                )

    def test_layer_norm_is_the_documents_to_the_bit(self):
        rng = np.random.default_rng(2)
        for n, s_in, s_out, spread in (
            (8, 1e-3, 1e-3, 300),
            (384, 7e-4, 3e-4, 3000),
            (384, 1e-2, 3e-4, 3),
            (1024, 1e-3, 2e-4, 30000),
        ):
            gamma = torch.from_numpy(rng.normal(1, 0.3, n).astype(np.float32))
            beta = torch.from_numpy(rng.normal(0, 0.3, n).astype(np.float32))
            codes = rng.normal(rng.normal(0, spread), spread, (30, n)).round().clip(-32767, 32767)
            codes[0] = 17
            x = torch.from_numpy((codes * np.float32(s_in)).astype(np.float32))
            y = numerics.layer_norm(x, gamma, beta, s_in, s_out, 1e-12)
            p = numpy_model.layernorm_parameters(
                gamma.double().tolist(), beta.double().tolist(), 1e-12, s_in, s_out, 0.03
            )
            for row in range(30):
                want = numpy_model.layernorm_row(codes[row].astype(int), p)[1]
                self.assertTrue(
                    np.array_equal((y[row] / s_out).round().numpy().astype(int), want), (n, row)
                )

    def test_reciprocal_root_over_the_whole_range(self):
        rng = np.random.default_rng(3)
        v = [1, 2, 3, 2**53 - 1, 2**53, 2**54 - 1] + [int(2**e) for e in rng.uniform(0, 54, 500)]
        r, k = numerics.reciprocal_root(torch.tensor(v))
        self.assertEqual(list(zip(r.tolist(), k.tolist())), [numpy_model.rsqrt(x) for x in v])

    def test_factors(self):
        for f in (0.0, 2.0**-30, 1e-4, 0.3, 0.99999999, 1.0, 100.0):
            self.assertEqual(numerics.from_factor(f), numpy_model.from_factor(f))
        with self.assertRaises(ValueError):
            numerics.from_factor(1e9)

    def test_halves_round_up_in_the_accelerator_and_to_even_on_the_host(self):
        x, zero = torch.tensor([0.5, 1.5, -0.5, -1.5, 200.0, -200.0]), torch.tensor(0.0)
        self.assertEqual(numerics.fake_quant(x, zero, 127).tolist(), [1, 2, 0, -1, 127, -127])
        self.assertEqual(
            numerics.fake_quant(x, zero, 127, half_up=False).tolist(), [0, 2, 0, -2, 127, -127]
        )
        self.assertEqual(numerics.fixed_quant(torch.tensor([0.5, 1e6]), 1.0).tolist(), [1, 32767])


class Gradients(unittest.TestCase):
    def test_values_pass_straight_through_and_stop_at_the_ends(self):
        x = torch.tensor([0.2, -3.0, 9.0], requires_grad=True)
        numerics.fake_quant(x, torch.tensor(0.0), 7).sum().backward()
        self.assertEqual(x.grad.tolist(), [1, 1, 0])

    def test_a_scale_falls_where_the_error_falls(self):
        """Descent on the squared error from a scale ten times too wide comes within 5 % of the best
        error.
        """
        x = torch.randn(4, 512, generator=torch.Generator().manual_seed(4))
        log_scale = torch.nn.Parameter((numerics.best_scale(x, 7) * 10).log())
        optimizer = torch.optim.Adam([log_scale], lr=0.05)

        def error(s):
            return (numerics.fake_quant(x, s, 7, False) - x).square().sum()

        for _ in range(200):
            optimizer.zero_grad()
            error(log_scale).backward()
            optimizer.step()
        self.assertLess(
            float(error(log_scale.detach())), 1.05 * float(error(numerics.best_scale(x, 7).log()))
        )

    def test_softmax_has_the_gradient_of_softmax(self):
        x = torch.randn(3, 9, generator=torch.Generator().manual_seed(5), requires_grad=True)
        g = torch.randn(3, 9, generator=torch.Generator().manual_seed(6))
        s = torch.tensor(0.02)
        numerics.Softmax.apply(x, s.log(), torch.ones(3, 9, dtype=torch.bool)).backward(g)
        y = x.detach().clone().requires_grad_()
        y.softmax(1).backward(g)
        self.assertLess(float((x.grad - y.grad).abs().max()), 0.03)

    def test_layer_norm_has_the_gradient_of_layer_norm(self):
        generator = torch.Generator().manual_seed(7)
        tensors = [
            torch.randn(5, 64, generator=generator),
            torch.randn(64, generator=generator) + 1,
            torch.randn(64, generator=generator),
        ]
        g = torch.randn(5, 64, generator=generator)
        grads = []
        for f in (
            lambda x, a, b: numerics.layer_norm(x, a, b, 1e-3, 1e-3, 1e-12),
            lambda x, a, b: torch.nn.functional.layer_norm(x, (64,), a, b, 1e-12),
        ):
            leaves = [t.clone().requires_grad_() for t in tensors]
            f(*leaves).backward(g)
            grads.append([t.grad for t in leaves])
        for mine, theirs in zip(*grads):
            self.assertLess(float((mine - theirs).abs().max()), 0.01 * float(theirs.abs().max()))


if __name__ == "__main__":
    unittest.main()
