"""Language models as data generators: what is asked, how a long job of asking survives, and what becomes of the answers."""
