"""Stage 1. What do the providers ask for? Every export in FOCUS columns, to the cent."""

from .factory import assets_of

bill = assets_of("bill")
