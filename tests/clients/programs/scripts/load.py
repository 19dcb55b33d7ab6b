import cawbs
import psycopg2
import sys

# Initialize CaWBS
response = cawbs.Init()
if response['status_code'] >= 400:
    print("Initialization failed:", response)
    sys.exit(1)

# Load data into the database
def load_data():
    print("Executing Step 3 on host3 (load.py)...")

    # Fetch transformed data from Step 2
    response = cawbs.GetStepPayload("step2")
    if response['status_code'] >= 400:
        print("Failed to fetch payload from Step 2:", response)
        sys.exit(1)

    transformed_data = response['payload']['transformed_data']

    # Database connection details (retrieved from CoreAuto keystore)
    db_response = cawbs.GetKeystore("db_host,db_name,db_user,db_password")
    if db_response['status_code'] >= 400:
        print("Failed to retrieve database credentials:", db_response)
        sys.exit(1)

    db_credentials = db_response['answer']

    connection = None
    cursor = None
    try:
        # Connect to PostgreSQL
        connection = psycopg2.connect(
            host=db_credentials['db_host'],
            database=db_credentials['db_name'],
            user=db_credentials['db_user'],
            password=db_credentials['db_password']
        )
        cursor = connection.cursor()

        # Insert transformed data into the database
        for key, value in transformed_data.items():
            cursor.execute(
                "INSERT INTO target_table (key, value) VALUES (%s, %s) ON CONFLICT (key) DO UPDATE SET value = EXCLUDED.value",
                (key, value)
            )
        connection.commit()
        print("Data successfully stored in the database.")
    except Exception as e:
        print(f"Database error: {e}")
        sys.exit(1)
    finally:
        if cursor:
            cursor.close()
        if connection:
            connection.close()

# Execute loading
load_data()
