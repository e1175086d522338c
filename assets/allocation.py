"""Stage 4. Who consumed it? Every charge ends on a feature, a tenant and an environment."""

from .factory import assets_of

allocation = assets_of("allocation")
