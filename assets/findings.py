"""Stage 5. What is untagged, wrongly tagged, or not as Git says? With money and witnesses."""

from .factory import assets_of

findings = assets_of("findings")
