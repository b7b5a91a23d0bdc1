"""Runs that no other run beats in two metrics at once."""

import math
from collections.abc import Sequence


def front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Indices of the points that no other dominates, by rising cost; a point is (cost, gain).

    One point dominates another if its cost is no higher and its gain no lower, and one of them is better (Pareto
    optimality; the maxima of a set of vectors, Kung, Luccio and Preparata 1975, J. ACM 22, 469-476). Of equal points
    the first is kept; one that is not finite is none.
    """
    known = [place for place, point in enumerate(points) if all(map(math.isfinite, point))]
    found: list[int] = []
    for place in sorted(known, key=lambda place: (points[place][0], -points[place][1])):
        if not found or points[place][1] > points[found[-1]][1]:
            found.append(place)
    return found
