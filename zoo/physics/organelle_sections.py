"""What is inside the profiles of a section: organelles, synapses, myelin.

Every organelle is drawn into a window of its own, in nanometres from its centre, and
never across the membrane of the profile that holds it.
"""

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from zoo.physics.section_canvas import Canvas, Profiles
from zoo.physics.tissue import Tissue

VESICLE_RADIUS_NM = (16.0, 24.0)
"""Radii of synaptic vesicles."""
TUBULE_RADIUS_NM = 11.0
"""Radius of a microtubule's wall."""

_MOST_VESICLES = 150  # in one bouton
_MOST_TUBULES = 60  # in one profile


def draw_organelles(
    rng: np.random.Generator,
    canvas: Canvas,
    profiles: Profiles,
    owner: np.ndarray,
    tissue: Tissue,
) -> None:
    """Draw organelles into the profiles of a section.

    Parameters
    ----------
    rng
        Source of kinds, places and shapes.
    canvas
        What is drawn into.
    profiles
        The profiles; their clearance is used up.
    owner : (y, x) int
        Number of the profile at every pixel of the canvas.
    tissue
        Thickness of membranes and sections.
    """
    pen = _Pen(rng, canvas, profiles, owner, tissue)
    if tissue.myelin:
        _myelin(pen)
    _mitochondria(pen)
    boutons = _synapses(pen)
    _reticulum(pen)
    for profile, place in boutons:
        _vesicles(pen, profile, place)
    _microtubules(pen)


class _Pen(NamedTuple):
    """What every organelle is drawn with."""

    rng: np.random.Generator
    canvas: Canvas
    profiles: Profiles
    owner: np.ndarray
    tissue: Tissue

    def line(self, away_nm: np.ndarray, *, lean_nm: float = 0.0) -> np.ndarray:
        """Return the stain of a membrane, by the distance from it."""
        own = self.tissue.membrane_nm / 2.6
        sigma = (own**2 + lean_nm**2 / 12 + (0.4 * self.canvas.pixel_nm) ** 2) ** 0.5
        return (own / sigma) ** 0.5 * np.exp(-0.5 * (away_nm / sigma) ** 2)

    def add(
        self,
        where: tuple[slice, slice],
        profile: int,
        *,
        membrane: np.ndarray | None = None,
        dense: np.ndarray | None = None,
        instead: np.ndarray | None = None,
    ) -> None:
        """Add stain inside a profile, or put it in the place of what is there."""
        inside = self.owner[where] == profile
        for image, stain in (
            (self.canvas.membrane[where], membrane),
            (self.canvas.dense[where], dense),
        ):
            if stain is None:
                continue
            if instead is not None:
                image *= 1 - instead * inside
            image += (stain * inside).astype(np.float32)


def _mitochondria(pen: _Pen) -> None:
    rng, profiles = pen.rng, pen.profiles
    share = rng.uniform(0.03, 0.14)
    darkness = rng.uniform(0.15, 0.6)
    spacing = rng.uniform(38, 75)
    order = rng.permutation(np.flatnonzero(profiles.widest_nm > 110))
    for profile in order:
        wanted = int(rng.poisson(share * profiles.area_um2[profile] / 0.075))
        wide = float(profiles.widest_nm[profile])
        if profiles.kinds[profile] == 0:
            wanted = int(rng.random() < 0.3)
        for _ in range(min(wanted, 12)):
            short = min(float(rng.uniform(85, 190)), 0.82 * wide)
            place = profiles.room(rng, int(profile), short + 12)
            if short < 70 or place is None:
                continue
            long = short * (1 + float(rng.exponential(0.5)))
            _mitochondrion(pen, int(profile), place, short, long, darkness, spacing)
            profiles.take(*place, (short * long) ** 0.5)


def _mitochondrion(
    pen: _Pen,
    profile: int,
    place: tuple[float, float],
    short: float,
    long: float,
    darkness: float,
    spacing: float,
) -> None:
    """Draw two membranes, a matrix and its cristae."""
    rng = pen.rng
    found = pen.canvas.window(*place, 1.3 * long)
    if found is None:
        return
    where, dy, dx = found
    angle = rng.uniform(0, np.pi)
    u = np.cos(angle) * dx + np.sin(angle) * dy
    v = -np.sin(angle) * dx + np.cos(angle) * dy
    v = v + rng.normal(0, 0.08) * short * np.sin(2.5 * u / long + rng.uniform(0, 6))
    turn = np.arctan2(v / short, u / long)
    bumps = 1 + 0.05 * np.sin(2 * turn + rng.uniform(0, 6))
    bumps = bumps + 0.03 * np.sin(3 * turn + rng.uniform(0, 6))
    ring = np.hypot(u / long, v / short) / bumps
    slope = np.hypot(u / long**2, v / short**2) / np.maximum(ring, 1e-3)
    outside = (ring - 1) / np.maximum(slope, 1e-5)
    gap = rng.uniform(12, 18)
    matrix = np.clip(-(outside + gap) / 8 + 0.5, 0, 1)
    across = rng.choice([0.0, np.pi / 2, rng.uniform(0, np.pi)])
    w = np.cos(across) * v + np.sin(across) * u
    s = -np.sin(across) * v + np.cos(across) * u
    w = w + 9 * np.sin(s / rng.uniform(35, 90) + rng.uniform(0, 6))
    cell = w / spacing + rng.uniform(0, 1)
    number = np.floor(cell).astype(int) % 64
    reach = short if across == np.pi / 2 else long
    begin = rng.uniform(-1.3, 0.4, 64)[number] * reach
    end = begin + rng.uniform(0.5, 2.2, 64)[number] * reach
    there = np.clip((s - begin) / 10, 0, 1) * np.clip((end - s) / 10, 0, 1)
    middle = np.abs(cell - np.floor(cell) - 0.5) * spacing
    lumen = rng.uniform(5, 9)
    lean = rng.uniform(0, 14)
    cristae = pen.line(middle - lumen, lean_nm=lean) * there * matrix
    envelope = pen.line(outside) + pen.line(outside + gap)
    light = np.clip(1.5 - middle / lumen, 0, 1) * there
    inner = np.clip(-outside / 8 + 0.5, 0, 1)
    pen.add(
        where,
        profile,
        membrane=envelope + 0.9 * cristae,
        dense=darkness * matrix * (1 - 0.7 * light),
        instead=inner,
    )


def _synapses(pen: _Pen) -> list[tuple[int, tuple[float, float]]]:
    """Draw synaptic densities; return who holds the vesicles, and where."""
    rng, profiles = pen.rng, pen.profiles
    labels = profiles.labels
    row, column = np.nonzero(labels[:, :-1] != labels[:, 1:])
    if not len(row):
        return []
    area_um2 = labels.size * profiles.step_nm**2 / 1e6
    boutons: list[tuple[int, tuple[float, float]]] = []
    for _ in range(int(rng.poisson(rng.uniform(0.2, 1.0) * area_um2))):
        at = int(rng.integers(len(row)))
        pair = [int(labels[row[at], column[at] + side]) for side in (0, 1)]
        if rng.random() < 0.5:
            pair.reverse()
        before, behind = pair
        if profiles.widest_nm[before] < 90 or 2 in profiles.kinds[pair]:
            continue
        y_nm, x_nm = row[at] * profiles.step_nm, column[at] * profiles.step_nm
        _density(pen, (y_nm, x_nm), before, behind)
        boutons.append((before, (y_nm, x_nm)))
    return boutons


def _density(pen: _Pen, place: tuple[float, float], before: int, behind: int) -> None:
    """Draw the dense plate of a synapse, thicker behind the cleft than before it."""
    rng = pen.rng
    half = rng.uniform(80, 220)
    found = pen.canvas.window(*place, half + 120)
    if found is None:
        return
    where, dy, dx = found
    owner = pen.owner[where]
    if not ((owner == before).any() and (owner == behind).any()):
        return
    plate = np.clip((half - np.hypot(dy, dx)) / 40, 0, 1)
    pixel = pen.canvas.pixel_nm
    strength = rng.uniform(0.5, 1.0)
    for side, other, thick, share in (
        (behind, before, rng.uniform(18, 40), 1.0),
        (before, behind, rng.uniform(6, 14), 0.5),
    ):
        away = pixel * np.asarray(ndimage.distance_transform_edt(owner != other))
        fade = np.exp(-0.5 * (np.maximum(away - thick, 0) / 10) ** 2)
        grain = 0.75 + 0.5 * rng.random(fade.shape)
        pen.add(where, side, dense=strength * share * plate * fade * grain)


def _vesicles(pen: _Pen, profile: int, synapse: tuple[float, float]) -> None:
    """Fill a bouton with vesicles near its synapse, cut at any height."""
    rng, profiles = pen.rng, pen.profiles
    rows, columns = profiles.labels.shape
    down: np.ndarray = np.arange(rows, dtype=np.float64)
    along: np.ndarray = np.arange(columns, dtype=np.float64)
    y = profiles.step_nm * down[:, None] - synapse[0]
    x = profiles.step_nm * along[None] - synapse[1]
    near = np.hypot(y, x) < rng.uniform(200, 700)
    mine = (profiles.labels == profile) & (profiles.clearance_nm > 24) & near
    free = np.flatnonzero(mine)
    area_um2 = len(free) * profiles.step_nm**2 / 1e6
    count = min(int(rng.poisson(rng.uniform(60, 350) * area_um2)), _MOST_VESICLES)
    filling = rng.uniform(0.0, 0.4)
    placed: list[tuple[float, float]] = []
    for _ in range(count):
        place = profiles.pick(rng, free)
        if place is None:
            return
        if any(abs(place[0] - y) + abs(place[1] - x) < 38 for y, x in placed):
            continue
        placed.append(place)
        radius = rng.uniform(*VESICLE_RADIUS_NM)
        core = rng.random() < 0.03
        radius *= 1.6 if core else 1.0
        found = pen.canvas.window(*place, radius + 12)
        if found is None:
            continue
        where, dy, dx = found
        away = np.hypot(dy, dx) - radius * (1 - rng.random() ** 3 * 0.4)
        inner = np.clip(-away / 6, 0, 1)
        dense = inner * (0.9 if core else filling)
        pen.add(where, profile, membrane=0.85 * pen.line(away), dense=dense)


def _reticulum(pen: _Pen) -> None:
    """Draw cisternae: flat light sacks inside one membrane, bent a little."""
    rng, profiles = pen.rng, pen.profiles
    share = rng.uniform(0.2, 1.6)
    for profile in np.flatnonzero(profiles.widest_nm > 100):
        for _ in range(
            min(int(rng.poisson(share * float(profiles.area_um2[profile]))), 15)
        ):
            place = profiles.room(rng, int(profile), 45)
            if place is None:
                break
            long, short = rng.uniform(50, 320), rng.uniform(14, 32)
            found = pen.canvas.window(*place, long + 40)
            if found is None:
                continue
            where, dy, dx = found
            angle = rng.uniform(0, np.pi)
            u = np.cos(angle) * dx + np.sin(angle) * dy
            v = -np.sin(angle) * dx + np.cos(angle) * dy
            bend, period, phase = rng.uniform((0, 60, 0), (45, 200, 6))
            v = v + bend * np.sin(u / period + phase)
            away = np.hypot(np.maximum(np.abs(u) - long + short, 0), v) - short
            stain = pen.line(away, lean_nm=rng.uniform(0, 12))
            pen.add(where, int(profile), membrane=0.8 * stain)
            profiles.take(*place, 0.6 * long)


def _microtubules(pen: _Pen) -> None:
    """Draw microtubules: rings where they are cut across, pairs of lines along."""
    rng, profiles = pen.rng, pen.profiles
    many = rng.uniform(5, 60)
    for profile in np.flatnonzero((profiles.widest_nm > 70) & (profiles.kinds < 2)):
        if rng.random() < 0.4:
            continue
        free = np.flatnonzero(
            (profiles.labels.ravel() == profile)
            & (profiles.clearance_nm.ravel() > TUBULE_RADIUS_NM + 14)
        )
        along = rng.random() < 0.25
        count = int(rng.poisson(many * float(profiles.area_um2[profile])))
        angle = rng.uniform(0, np.pi)
        for _ in range(min(count, 8 if along else _MOST_TUBULES)):
            place = profiles.pick(rng, free)
            if place is None:
                break
            long = rng.uniform(150, 700) if along else 0.0
            found = pen.canvas.window(*place, long + 24)
            if found is None:
                continue
            where, dy, dx = found
            turn = angle + rng.normal(0, 0.06)
            u = np.cos(turn) * dx + np.sin(turn) * dy
            v = -np.sin(turn) * dx + np.cos(turn) * dy
            away = np.hypot(np.maximum(np.abs(u) - long, 0), v) - TUBULE_RADIUS_NM
            pen.add(where, int(profile), membrane=0.6 * pen.line(away))


def _myelin(pen: _Pen) -> None:
    """Wrap some of the wider profiles into sheaths of many membranes."""
    rng, profiles, pixel = pen.rng, pen.profiles, pen.canvas.pixel_nm
    wide = np.flatnonzero((profiles.widest_nm > 200) & (profiles.kinds == 1))
    for profile in rng.permutation(wide)[: int(rng.integers(1, 5))]:
        mine = np.pad(pen.owner == profile, 1, mode="edge")
        deep = pixel * np.asarray(ndimage.distance_transform_edt(mine))[1:-1, 1:-1]
        thick = min(rng.uniform(50, 220), 0.55 * float(profiles.widest_nm[profile]))
        period = rng.uniform(10, 14)
        waves = 0.0 if period < 3 * pixel else 0.35
        lamellae = 0.6 + waves * np.cos(2 * np.pi * deep / period)
        sheath = np.clip((thick - deep) / pixel + 0.5, 0, 1)
        whole = (slice(None), slice(None))
        stain = lamellae * sheath + pen.line(deep - thick - 10)
        pen.add(whole, int(profile), membrane=stain, instead=sheath)
        near = profiles.labels == profile
        profiles.clearance_nm[near] -= thick + 15
