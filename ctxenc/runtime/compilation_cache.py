"""XLA's compiled programs are kept between processes, so a second run starts at once."""

import jax
from platformdirs import user_cache_path


def keep_programs() -> None:
    """Turn on JAX's persistent compilation cache, in the user's cache folder.

    JAX's own settings win: ``JAX_COMPILATION_CACHE_DIR`` moves it, and
    ``JAX_ENABLE_COMPILATION_CACHE=false`` switches it off.
    """
    if jax.config.values["jax_compilation_cache_dir"] is None:
        jax.config.update("jax_compilation_cache_dir", str(user_cache_path("ctxenc") / "xla"))
        # The many small programs of a start, too: reading one takes a fraction of compiling it.
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
