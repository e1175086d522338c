"""Stage 7. What would make it cheaper without hurting anyone?"""

from .factory import assets_of

rightsizing = assets_of("rightsizing")
