"""`lego semantic-ids`: items as short words of codes, made of their vectors."""

lego_api = ">=1,<2"

from legorec_semantic_ids.words import Codes, semantic_ids_of  # noqa: E402 - what it is for is known before it can fail

__all__ = ["Codes", "semantic_ids_of"]
