"""Run an app over two receipts, print what it read, and clean up; the server finds itself."""

from __future__ import annotations

import sys

import longshore
from longshore.errors import Unauthenticated


def automate(client: longshore.Client, first: str, second: str) -> None:
    print("creating an empty batch")
    try:
        batch = client.batches.create(name="receipt batch", workspace="SDK-Tutorial")
    except Unauthenticated:
        sys.exit("ERROR: SDK not authorized. Is the API key correct?")

    print("uploading two files to the batch")
    batch.add_file(first, "receipt-a.jpg")
    with open(second, "rb") as file:  # noqa: PTH123 - as a user would
        batch.add_file(file, "receipt-b.jpg")

    print("running the app")
    run = client.run("Meal Receipt", owner="Instabase", batch=batch)
    run.wait(timeout_s=60)
    print(f"status: {run.status}")

    for result in run.results():
        print(f"file name: {result.original_file_name}")
        for document in result.documents:
            for field in document.fields:
                print(f"{field.field_name}: {field.value}")
        print("---")

    job = batch.delete().wait(timeout_s=60)
    print(f"delete batch status: {job.state}")
    print(f"number of app runs: {len(client.runs.list())}")

    deletion = run.delete()
    deletion.wait(timeout_s=60)
    assert deletion.output is not None
    print(f"delete output dir status: {deletion.output.state}")
    print(f"number of app runs: {len(client.runs.list())}")


if __name__ == "__main__":
    with longshore.Client() as found:
        automate(found, *sys.argv[1:3])
