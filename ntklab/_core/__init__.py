"""What every room may use: safe numerics and records."""

from ntklab._core._numerics import safe_sqrt as safe_sqrt
