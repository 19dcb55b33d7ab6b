"""The database of assets and tags, as tag_image.py wants it; the test's own."""

import psycopg2

s3_bucket_name = s3_file_key = s3_file_name = ""
_connection = None


def init(dbname, maindb, encrypt, tenant_id, asset_id):
    """Connect and find the asset; return 0, or 1 where there is none."""
    global _connection, s3_bucket_name, s3_file_key, s3_file_name
    _connection = psycopg2.connect(maindb, dbname=dbname, password=encrypt)
    with _connection, _connection.cursor() as cursor:
        cursor.execute(
            "SELECT bucket, key, name FROM assets WHERE tenant_id = %s AND asset_id = %s",
            (tenant_id, asset_id),
        )
        found = cursor.fetchone()
    if found is None:
        return 1
    s3_bucket_name, s3_file_key, s3_file_name = found
    return 0


def insert_tags(payload, response):
    """Store what was seen in the image; again replaces it."""
    text = response.choices[0].message.content
    with _connection, _connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO tags (tenant_id, asset_id, tags) VALUES (%s, %s, %s)"
            " ON CONFLICT (tenant_id, asset_id) DO UPDATE SET tags = EXCLUDED.tags",
            (payload["tenant_id"], payload["asset_id"], text),
        )


def insert_tags_error(payload, code, text):
    """Store why there are no tags."""
    with _connection, _connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO tags_error (tenant_id, asset_id, code, error) VALUES (%s, %s, %s, %s)",
            (payload["tenant_id"], payload["asset_id"], code, text),
        )
