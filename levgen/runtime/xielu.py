"""An activation with parameters of its own: xIELU, https://arxiv.org/abs/2411.13010."""

import haliax as hax
import jax
import jax.numpy as jnp
import numpy as np
from haliax import Axis, NamedArray
from haliax.state_dict import ModuleWithStateDictSerialization

_Slope = Axis("slope", 1)  # a tensor of one number, as checkpoints have it


def _before_softplus(x: float) -> float:
    """The number whose softplus is `x`, computed in fp32 as the reference does."""
    return float(np.log(np.expm1(np.float32(x))))


class XIelu(ModuleWithStateDictSerialization):
    """a_p x^2 + b x where x > 0, a_n (exp(min(x, eps)) - 1 - x) + b x elsewhere.

    With a_p = softplus(alpha_p) and a_n = b + softplus(alpha_n). b and eps are stored and not learned.
    """

    alpha_p: NamedArray  # {slope}
    alpha_n: NamedArray  # {slope}
    # One number each, stored with the model and no parameters of it: no gradient reaches them, and no weight decay
    # either, ours or Levanter's, since that spares what is called a bias.
    beta_bias: NamedArray
    eps_bias: NamedArray

    @staticmethod
    def init() -> "XIelu":
        """Both slopes at 0.8, b at 0.5."""
        slope, beta = 0.8, 0.5
        return XIelu(
            alpha_p=hax.full(_Slope, _before_softplus(slope)),
            alpha_n=hax.full(_Slope, _before_softplus(slope - beta)),
            beta_bias=hax.full((), beta),
            eps_bias=hax.full((), -1e-6),
        )

    def __call__(self, x: NamedArray) -> NamedArray:
        """Any axes, in and out, dtype kept; computed in fp32."""
        wide = x.array.astype(jnp.float32)
        alpha_p, alpha_n = (jax.nn.softplus(a.array.astype(jnp.float32)[0]) for a in (self.alpha_p, self.alpha_n))
        beta, eps = (jax.lax.stop_gradient(b.array.astype(jnp.float32)) for b in (self.beta_bias, self.eps_bias))
        negative = (beta + alpha_n) * (jnp.expm1(jnp.minimum(wide, eps)) - wide)
        curved = jnp.where(wide > 0, alpha_p * jnp.square(wide), negative)
        return NamedArray((curved + beta * wide).astype(x.dtype), x.axes)

    def _state_dict_key_map(self) -> dict[str, str | None]:
        return {"beta_bias": "beta", "eps_bias": "eps"}
