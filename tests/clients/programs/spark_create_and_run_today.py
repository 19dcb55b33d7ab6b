"""The program of `spark_create_and_run`, for a client whose pipelines are no context manager."""

import os

import cspark.sdk as Spark
from dotenv import load_dotenv
from spark_create_and_run import create_and_run

load_dotenv()
base_url = Spark.BaseUrl(url=os.environ['SPARK_URL'], tenant=os.environ['SPARK_TENANT'])
with Spark.Client(base_url=base_url) as spark:
    create_and_run(spark.batches)
