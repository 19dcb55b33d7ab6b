import cawbs
import sys

# Initialize CaWBS
response = cawbs.Init()
if response['status_code'] >= 400:
    print("Initialization failed:", response)
    sys.exit(1)

# Transform data
def transform_data():
    print("Executing Step 2 on host2 (transform.py)...")

    # Fetch data from Step 1
    response = cawbs.GetStepPayload("step1")
    if response['status_code'] >= 400:
        print("Failed to fetch payload from Step 1:", response)
        sys.exit(1)

    data = response['payload']['data']

    # Transform the data (example: convert strings to uppercase)
    transformed_data = {key: str(value).upper() for key, value in data.items()}

    # Pass transformed data to the next step
    response = cawbs.PutStepPayload({"transformed_data": transformed_data})
    if response['status_code'] >= 400:
        print("Failed to pass data to Step 3:", response)
        sys.exit(1)
    print("Data transformed and passed to Step 3.")

# Execute transformation
transform_data()
