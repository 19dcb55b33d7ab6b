import os

# prepare to use standard Python libraries
import sys
import time

# prepare to use the SDK
# and an exception that the SDK throws when authorization fails
from aihub import AIHub
from aihub.exceptions import UnauthorizedException

# authorize the SDK
client = AIHub(api_root=os.environ["API_ROOT"],
               api_key=os.environ["API_KEY"],
               ib_context=os.environ["IB_CONTEXT"])

print("creating an empty batch")
try:
    # make an empty batch with a specific name in a specific workspace
    create_batch_resp = client.batches.create(
        name="receipt batch",
        workspace="SDK-Tutorial")
except UnauthorizedException:
    # exit the program while printing a user-friendly error message and
    # instructions on how to fix the problem
    sys.exit("ERROR: SDK not authorized. "
             "Are the API ROOT, API KEY, and IB-Context values correct?")

# store batch_id in an easy-to-read variable, since we'll use it several times
batch_id = create_batch_resp.id

print("uploading two files to the batch")

# upload the first file to the batch
client.batches.add_file(batch_id=batch_id,
                        file_name="receipt-a.jpg",
                        file=open(os.environ["RECEIPT_1"], "rb"))

# upload a second file to the batch
client.batches.add_file(batch_id=batch_id,
                        file_name="receipt-b.jpg",
                        file=open(os.environ["RECEIPT_2"], "rb"))

print("running the app")
# trigger an app run, specifying which app, who wrote it, and which batch it should process
run_resp = client.apps.runs.create(app_name="Meal Receipt",
                                   owner="Instabase",
                                   batch_id=batch_id)

print("checking the app status until it finishes")
while True:  # loop until explicitly told to leave the loop
    time.sleep(3)  # pause a few seconds between each app status check
    status_resp = client.apps.runs.status(run_resp.id)  # get the app status
    print(f"status: {status_resp.status}")  # update the user on the app status
    if status_resp.status not in ["PENDING", "RUNNING"]:  # these statuses mean the app is still running
        break  # the app is done, so stop looping

print("fetching the app results")
results_resp = client.apps.runs.results(run_resp.id)  # get the app results

for file in results_resp.files:  # iterate across all processed files
    print(f"file name: {file.original_file_name}")
    for document in file.documents:  # iterate across all documents in a file
        for field in document.fields:  # iterate across all fields in a document
            print(f"{field.field_name}: {field.value}")  # print the field name and value
    print("---")  # visual separator between files

print(f"deleting batch with ID {batch_id}")

# submit an asynchronous request to delete the whole batch
delete_batch_resp = client.batches.delete(batch_id)

# repeatedly check status of delete batch job
while True:
    # pause to let the delete batch job make progress
    time.sleep(3)
    # check status of the delete batch job
    status_resp = client.jobs.status(delete_batch_resp.job_id)
    print(f"delete batch status: {status_resp.state}")
    # break out of the loop if the delete batch job no longer running
    if status_resp.state not in ["RUNNING", "PENDING"]:
        break

# print number of app runs
list_runs_resp = client.apps.runs.list()
num_app_runs = len(list_runs_resp.runs)
print(f"number of app runs: {num_app_runs}")

print(f"deleting app run with ID {run_resp.id}")
delete_run_resp = client.apps.runs.delete(run_resp.id)

# repeatedly check status of the job that deletes the output directory
while True:
    time.sleep(3)
    status_resp = client.jobs.status(delete_run_resp.delete_output_dir_job_id)
    print(f"delete output dir status: {status_resp.state}")
    if status_resp.state not in ["RUNNING", "PENDING"]:
        break

# print number of app runs
list_runs_resp = client.apps.runs.list()
num_app_runs = len(list_runs_resp.runs)
print(f"number of app runs: {num_app_runs}")
