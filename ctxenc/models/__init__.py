"""The networks, and what a network of your own must be.

Both networks are Flax modules. Their attributes are the options that a file in ``conf/model`` sets;
lists become tuples, as modules are static arguments of jitted functions. A generator::

    class Mine(nn.Module):
        output_size: tuple[int, int]  # given by keyword: height and width of what is predicted
        channels: int = 64            # an option
        dtype: Any = jnp.float32      # given by keyword: of the computation

        @nn.compact
        def __call__(self, x, *, train):
            x = nn.relu(Conv(self.channels, dtype=self.dtype)(x))
            x = nn.BatchNorm(use_running_average=not train, dtype=self.dtype)(x)
            …
            return jnp.tanh(x.astype(jnp.float32))

`x` is (batch, height, width, 3) float32 in [-1, 1] with the missing pixels covered; with
``mask_channel=true`` the mask is its fourth channel. Returned are (batch, out_height, out_width, 3)
float32 in [-1, 1], of `output_size`: the hole's pixels or the whole image's, as ``predict`` says.

A generator whose encoder is to be probed names the maps after each of its stages, first to last, by
``self.sow("stages", "conv1", x)``: nothing is kept unless they are asked for
(`ctxenc.features`), and nothing of the decoder is then computed.

A discriminator is given `dtype`. It is called with (batch, height, width, 3) in [-1, 1], real or
filled, and `train`, and returns (batch,) float32 logits: above zero for what looks real.

Parameters are float32. What changes without a gradient (moving statistics) is in the collection
"batch_stats", updated where `train` is true and used where it is not. Sizes that cannot work are
refused by a `UserError` in the call, which is traced before anything is written.
"""
