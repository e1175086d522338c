"""Stage 7. What would make it cheaper without hurting anyone? Answers with a reason."""

from .factory import assets_of

rightsizing = assets_of("rightsizing")
