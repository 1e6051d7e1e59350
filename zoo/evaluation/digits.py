"""Where `prepare_digit` was; it is in `zoo.imaging.digits` now. Scripts that import it from here go on working."""

from zoo.imaging.digits import prepare_digit

__all__ = ["prepare_digit"]
