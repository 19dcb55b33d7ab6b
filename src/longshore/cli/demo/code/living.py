"""Functions and services of `longshore demo all`; a worker loads this file."""

from __future__ import annotations

import hashlib
import time
import warnings

import longshore

DEFICIT = 0.08
AGE_MAX = 75


@longshore.function("demo-photos", timeout_s=60)
def develop(work: longshore.Work) -> dict[str, object]:
    """Develop a photo; one of twelve is out of focus at the first attempt."""
    parameters = work.parameters or {}
    number = int(parameters.get("number", 0))
    print(f"photo {number}: attempt {work.attempt}")
    time.sleep(float(parameters.get("pause_s", 0.05)))
    if number % 12 == 7 and work.attempt < 2:
        raise RuntimeError(f"photo {number} is out of focus")
    digest = hashlib.sha256(str(number).encode()).hexdigest()
    return {"photo": number, "sharpness": int(digest[:2], 16) / 255, "sha256": digest}


@longshore.function("demo-spectra", timeout_s=60)
def measure(frequency_mhz: float, noise: float = 0.0) -> dict[str, float]:
    """Measure a spectrum, which cannot be done where the noise is too high."""
    print(f"measuring at {frequency_mhz} MHz")
    if noise > 0.5:
        raise ValueError(f"noise of {noise} at {frequency_mhz} MHz; at most 0.5 can be filtered")
    if frequency_mhz <= 0:
        raise ZeroDivisionError("a frequency of 0 has no wavelength")
    return {"wavelength_m": 299.792 / frequency_mhz}


@longshore.function("demo-movies", timeout_s=600)
def cut(name: str, scenes: int, scene_s: float) -> dict[str, object]:
    """Cut a movie, scene by scene."""
    for scene in range(scenes):
        print(f"{name}: scene {scene + 1} of {scenes}")
        time.sleep(scene_s)
    return {"name": name, "scenes": scenes}


@longshore.service("demo/premium", version="1.0.0", timeout_s=5)
def premium(age: int, sum_insured: float, *, smoker: bool = False) -> dict[str, float]:
    """Return what an insurance costs a year."""
    return {"premium": _premium(age, sum_insured, smoker=smoker)}


@longshore.service("demo/premium", version="1.1.0", timeout_s=5)
def premium_rounded(age: int, sum_insured: float, *, smoker: bool = False) -> dict[str, float]:
    """Return what an insurance costs a year, in whole numbers."""
    return {"premium": round(_premium(age, sum_insured, smoker=smoker))}


@longshore.service("demo/premium-slow", version="1.0.0", timeout_s=30)
def premium_slow(age: int, sum_insured: float, pause_s: float = 0.2) -> dict[str, float]:
    """Return the same, after some thought."""
    time.sleep(pause_s)
    return {"premium": _premium(age, sum_insured, smoker=False)}


def _premium(age: int, sum_insured: float, *, smoker: bool) -> float:
    if age < 18:
        raise ValueError(f"nobody of {age} years is insured; the least age is 18")
    if age > AGE_MAX:
        warnings.warn(f"the age was taken as {AGE_MAX}", stacklevel=3)
        age = AGE_MAX
    risk = 0.0002 + 0.000022 * 1.105**age
    return round(sum_insured * risk * (1.9 if smoker else 1.0) * (1 + DEFICIT), 2)
