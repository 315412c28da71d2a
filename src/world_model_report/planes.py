"""Principal components: a plane on which trajectories can be drawn."""

from typing import NamedTuple

import numpy as np


class Plane(NamedTuple):
    """The plane of the first two principal components of points in X dimensions.

    `mean` (X,), `axes` (2, X), and `shares` (2,): how much of the points' variance lies along each axis.
    """

    mean: np.ndarray
    axes: np.ndarray
    shares: np.ndarray

    def project(self, points: np.ndarray) -> np.ndarray:
        """Return ``points (…, X)`` on the plane, (…, 2)."""
        return (points - self.mean) @ self.axes.T


def principal_plane(points: np.ndarray) -> Plane:
    """Fit a plane to ``points (n, X)``. An axis points where its largest weight is positive; a missing one is 0."""
    points = points.astype(np.float64)
    mean = points.mean(axis=0)
    _, spread, directions = np.linalg.svd(points - mean, full_matrices=False)
    variance = np.zeros(2)
    axes = np.zeros((2, points.shape[1]))
    found = min(2, len(spread))
    variance[:found], axes[:found] = spread[:found] ** 2, directions[:found]
    largest = np.take_along_axis(axes, np.abs(axes).argmax(axis=1)[:, None], axis=1)
    axes *= np.where(largest < 0, -1.0, 1.0)
    return Plane(mean, axes, variance / max((spread**2).sum(), np.finfo(np.float64).tiny))
