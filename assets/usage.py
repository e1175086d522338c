"""Stage 2. What did the clusters and the models do? By hour, from Prometheus and logs."""

from .factory import assets_of

usage = assets_of("usage")
