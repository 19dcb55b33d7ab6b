import cawbs
import requests
import sys

# Initialize CaWBS
response = cawbs.Init()
if response['status_code'] >= 400:
    print("Initialization failed:", response)
    sys.exit(1)

# Extract data from API
def extract_data():
    print("Executing Step 1 on host1 (extract.py)...")

    # Example API endpoint
    api_url = "https://api.example.com/data"
    try:
        response = requests.get(api_url)
        response.raise_for_status()
        data = response.json()
    except requests.RequestException as e:
        print(f"Failed to fetch data from API: {e}")
        cawbs.PutStepPayload({"error": "Failed to fetch data"})
        sys.exit(1)

    # Pass extracted data to the next step
    response = cawbs.PutStepPayload({"data": data})
    if response['status_code'] >= 400:
        print("Failed to pass data to Step 2:", response)
        sys.exit(1)
    print("Data extracted and passed to Step 2.")

# Execute extraction
extract_data()
