"""Inspection of a built model: its layers, parameters, multiply-accumulates and receptive field."""
