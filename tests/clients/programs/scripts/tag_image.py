import os
import time
import boto3
import json
import io
from PIL import Image
from psd_tools import PSDImage  # For handling PSD files
import cawbs
import pg_util
from openai import OpenAI

# Initialize and validate the environment
result_txt = ''
print("Step started")

# Initialize CaWBS
response = cawbs.Init()
if response['status_code'] >= 400:
    print("Initialization failed:", response)
    exit(1)

# Get Event Payload
response = cawbs.GetEventPayload()
if response['status_code'] >= 400:
    print("Failed to fetch event payload:", response)
    exit(1)
payload = response['payload']

# Validate Payload
if 'tenant_id' not in payload or 'asset_id' not in payload:
    print("Invalid payload format")
    exit(1)

# Fetch Keystore Credentials
response = cawbs.GetKeystore("sm_maindb,sm_encrypt,main_dbname,OPENAI_API_KEY,OPENAI_API_ASSISTANT_ID")
if response['status_code'] >= 400:
    print("Keystore fetch error:", response)
    exit(1)
credentials = response['answer']

# Initialize Database
if pg_util.init(credentials['main_dbname'], credentials['sm_maindb'], credentials['sm_encrypt'],
                payload['tenant_id'], payload['asset_id']) > 0:
    print("Database initialization failed")
    exit(1)

# Process Image
file_ext = os.path.splitext(pg_util.s3_file_name)[1].lower()
allowed_formats = {'.jpg', '.jpeg', '.png', '.gif', '.webp', '.psd'}
if file_ext not in allowed_formats:
    print(f"Unsupported file extension: {file_ext}")
    pg_util.insert_tags_error(payload, 8, f"Unsupported file extension: {file_ext}")
    exit(1)

# Download image from S3
s3 = boto3.client('s3')
try:
    s3_object = s3.get_object(Bucket=pg_util.s3_bucket_name, Key=pg_util.s3_file_key)
    image_data = s3_object['Body'].read()
except Exception as e:
    print(f"S3 download error: {e}")
    pg_util.insert_tags_error(payload, 8, "S3 file not found")
    exit(1)

# Process PSD or PIL Image
if file_ext == '.psd':
    psd = PSDImage.open(io.BytesIO(image_data))
    image = psd.composite()
else:
    image = Image.open(io.BytesIO(image_data))

# Resize or Convert if necessary
if image.size[0] > 512 or image.size[1] > 512:
    image = image.resize((512, 512), Image.Resampling.LANCZOS)

# Save Image Temporarily
tmp_dir = os.path.expanduser("~/temp")
os.makedirs(tmp_dir, exist_ok=True)
tmp_file = os.path.join(tmp_dir, f"tmp_{os.environ.get('ACTIONID')}.jpg")
image.save(tmp_file, format="JPEG")

# Send Image to OpenAI
client = OpenAI(api_key=credentials['OPENAI_API_KEY'])
try:
    # Upload file and process
    file_response = client.files.create(file=open(tmp_file, "rb"), purpose="vision")
    assistant_response = client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "Analyze this image"}])

    # Store results in database
    pg_util.insert_tags(payload, assistant_response)

except Exception as e:
    print(f"Error with OpenAI API: {e}")
    pg_util.insert_tags_error(payload, 8, str(e))
    exit(1)

finally:
    # Cleanup resources
    if os.path.exists(tmp_file):
        os.remove(tmp_file)
