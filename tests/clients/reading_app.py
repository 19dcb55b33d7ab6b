"""The app that the tests of published clients run: a file is lines of `name: value`."""

from __future__ import annotations

import longshore


@longshore.app("Meal Receipt", owner="Instabase", version="1.2.0", attempts_max=1)
def read_lines(file: longshore.InputFile) -> list[longshore.Document]:
    """Read one document with a field for each line."""
    text = file.read_bytes().decode("utf-8", errors="strict")
    page = longshore.Page(0, 100, 50)
    fields = []
    for row, line in enumerate(text.splitlines()):
        name, _, value = line.partition(": ")
        box = (0.0, float(row), 10.0, float(row + 1))
        fields.append(longshore.Field(name, value, confidence=0.5, page=0, box=box))
    for name, key in file.keys.items():
        fields.append(longshore.Field(name, str(key), alerts=["given as a key"]))
    for name, secret in file.secrets.items():
        print("connecting with", secret[:5], sep=" ", end="", flush=True)
        print(secret[5:], flush=True)
        fields.append(longshore.Field(name, f"{len(secret)} letters: {secret}"))
    if file.password is not None:
        fields.append(longshore.Field("password", f"{len(file.password)} letters: {file.password}"))
    return [longshore.Document(fields, class_name="receipt", pages=[page])]
