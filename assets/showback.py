"""Stage 6. What did it cost? By day, feature, tenant, environment, service and model."""

from .factory import assets_of

showback = assets_of("showback")
