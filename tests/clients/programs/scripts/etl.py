import psycopg2
import json
import os
import cawbsbatch

# Initialize the CaWBS library
response = cawbsbatch.Init()
if response['status_code'] >= 400:
    print("Initialization failed:", response)
    exit(1)

# Retrieve credentials from the keystore
response = cawbsbatch.GetKeystore("db_host,db_name,db_user,db_password")
if response['status_code'] >= 400:
    print("Failed to retrieve credentials:", response)
    exit(1)

credentials = response['answer']
db_host = credentials['db_host']
db_name = credentials['db_name']
db_user = credentials['db_user']
db_password = credentials['db_password']

# Connect to the PostgreSQL database
connection = None
cursor = None
try:
    connection = psycopg2.connect(
        host=db_host,
        database=db_name,
        user=db_user,
        password=db_password
    )
    cursor = connection.cursor()
    print("Connected to the database")

    # Extract data from the source table
    extract_query = "SELECT * FROM source_table"
    cursor.execute(extract_query)
    source_data = cursor.fetchall()
    print(f"Extracted {len(source_data)} records from source_table")

    # Transform data (example transformation: convert all text to uppercase)
    transformed_data = []
    for record in source_data:
        transformed_record = [str(item).upper() if isinstance(item, str) else item for item in record]
        transformed_data.append(transformed_record)

    # Load transformed data into the target table
    load_query = """
    INSERT INTO target_table (column1, column2, column3)
    VALUES (%s, %s, %s)
    ON CONFLICT (column1) DO UPDATE
    SET column2 = EXCLUDED.column2,
        column3 = EXCLUDED.column3
    """
    for record in transformed_data:
        cursor.execute(load_query, record)

    # Commit the transaction
    connection.commit()
    print("ETL operation completed successfully")

except Exception as e:
    # Rollback transaction in case of failure
    if connection:
        connection.rollback()
    print("Error during ETL operation:", e)
    exit(1)

finally:
    # Close the database connection
    if cursor:
        cursor.close()
    if connection:
        connection.close()
    print("Database connection closed")
