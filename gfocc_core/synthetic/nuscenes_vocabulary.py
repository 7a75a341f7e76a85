"""The fixed tables of a nuScenes dataset: categories, attributes and levels of visibility."""

from __future__ import annotations

CATEGORIES: dict[str, str] = {
    "human.pedestrian.adult": "Grown person on foot.",
    "human.pedestrian.child": "Child on foot.",
    "human.pedestrian.wheelchair": "Person in a wheelchair.",
    "human.pedestrian.stroller": "Stroller, with or without a child in it.",
    "human.pedestrian.personal_mobility": "Person on a small vehicle such as a scooter board.",
    "human.pedestrian.police_officer": "Police officer on foot.",
    "human.pedestrian.construction_worker": "Person at work on a building site.",
    "animal": "Any animal.",
    "vehicle.car": "Car that carries people: sedan, hatchback, van, jeep.",
    "vehicle.motorcycle": "Two-wheeler with an engine, rider included.",
    "vehicle.bicycle": "Two-wheeler moved by its rider, rider included.",
    "vehicle.bus.bendy": "Bus of two or more jointed sections.",
    "vehicle.bus.rigid": "Bus of one section.",
    "vehicle.truck": "Vehicle that carries goods; its trailer is separate.",
    "vehicle.construction": "Machine for building work, such as an excavator.",
    "vehicle.emergency.ambulance": "Ambulance.",
    "vehicle.emergency.police": "Police vehicle.",
    "vehicle.trailer": "Something that a vehicle pulls.",
    "movable_object.barrier": "Temporary barrier that closes or guides a way.",
    "movable_object.trafficcone": "Traffic cone.",
    "movable_object.pushable_pullable": "Something to push or pull, such as a wheelie bin.",
    "movable_object.debris": "Something left on the road.",
    "static_object.bicycle_rack": "Rack for parking bicycles.",
}
"""nuScenes category -> what it stands for."""

ATTRIBUTES: dict[str, str] = {
    "vehicle.moving": "The vehicle moves.",
    "vehicle.stopped": "The vehicle stands, with somebody to drive on.",
    "vehicle.parked": "The vehicle stands for long.",
    "cycle.with_rider": "Somebody rides it.",
    "cycle.without_rider": "Nobody rides it.",
    "pedestrian.sitting_lying_down": "The person sits or lies.",
    "pedestrian.standing": "The person stands.",
    "pedestrian.moving": "The person walks.",
}
"""nuScenes attribute -> what it stands for."""

VISIBILITY_LEVELS: dict[str, tuple[str, str, float]] = {
    "1": ("v0-40", "Up to 40 percent of the object show in the images.", 0.0),
    "2": ("v40-60", "40 to 60 percent of the object show in the images.", 0.4),
    "3": ("v60-80", "60 to 80 percent of the object show in the images.", 0.6),
    "4": ("v80-100", "More than 80 percent of the object show in the images.", 0.8),
}
"""Token -> level, what it stands for, and the share from which it holds."""

MOVING_SPEED = 0.3
"""Metres per second from which something counts as moving."""


def attribute_of(category: str, speed: float, travels: bool) -> str | None:
    """The attribute of an object.

    Args:
        category: Its nuScenes category.
        speed: Now, in m/s.
        travels: Whether it moves at any time of the scene.
    """
    if category in ("vehicle.bicycle", "vehicle.motorcycle"):
        return "cycle.with_rider" if travels else "cycle.without_rider"
    if category.startswith("vehicle."):
        if speed > MOVING_SPEED:
            return "vehicle.moving"
        return "vehicle.stopped" if travels else "vehicle.parked"
    if category.startswith("human.pedestrian."):
        return "pedestrian.moving" if speed > MOVING_SPEED else "pedestrian.standing"
    return None


def visibility_token(share: float) -> str:
    """Token of the level for a share of 0 to 1."""
    return max(token for token, (_, _, start) in VISIBILITY_LEVELS.items() if share >= start)
