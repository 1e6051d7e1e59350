"""Kept for old imports: `prepare_digit` is now in `zoo.imaging.digits`."""

from zoo.imaging.digits import prepare_digit

__all__ = ["prepare_digit"]
