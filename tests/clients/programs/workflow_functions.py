"""Functions of a scientist, which `workflow run` finds by their dotted names."""

import os
import pathlib
import time

import click

from workflow.definitions.work import Work


def search(dm, snr=1.0):
    return {"dm": dm, "snr": snr}


def plot(name, content="a plot"):
    """Write a product and a plot into the working directory."""
    product, picture = pathlib.Path(f"{name}.csv"), pathlib.Path(f"{name}.svg")
    product.write_text("dm,snr")
    picture.write_text(content)
    return {"name": name}, [str(product.absolute())], [str(picture.absolute())]


def number(value):
    return value


def fail(why):
    raise ValueError(why)


def crash():
    os._exit(3)


def dawdle(seconds):
    time.sleep(seconds)
    return {"slept": seconds}


def wait_for(path, give_up_s=60):
    """Return once a file is there, so that a test decides how long this takes."""
    open(f"{path}.begun", "w").close()
    deadline = time.monotonic() + give_up_s
    while not os.path.exists(path) and time.monotonic() < deadline:
        time.sleep(0.05)
    return {"waited": True}


def whole(work: Work) -> Work:
    work.results = {"tags": work.tags, "attempt": work.attempt}
    return work


@click.command()
@click.option("--alpha", type=float)
@click.option("--name", multiple=True)
@click.option("--loud", is_flag=True)
def command(alpha, name, loud):
    return {"alpha": alpha, "name": list(name), "loud": loud}
