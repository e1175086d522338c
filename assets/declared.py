"""Stage 3. What does Git ask for? Every workload as the GitOps repositories declare it."""

from .factory import assets_of

declared = assets_of("declared")
