"""Trained models as folders of their own: weights, a configuration, a card, graphs; and on a hub."""
