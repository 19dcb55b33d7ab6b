"""Pushes and pulls through the published client while the server dies again and again.

The client does not repeat a request that had no answer, so this does. Whether a push was taken is
seen in the status; what a lost answer held is asked for once more.
"""

import json
import os
import time

import cspark.sdk as Spark

CHUNK, CHUNKS = 10, int(os.environ['CHUNKS'])


def patiently(call, *args, **kwargs):
    while True:
        try:
            return call(*args, **kwargs).data
        except (Spark.SparkSdkError, Spark.SparkApiError) as error:
            if getattr(error, 'status', None) not in (None, 503):
                raise
            time.sleep(0.05)


def push(pipeline, number):
    rows = [[value] for value in range(number * CHUNK, (number + 1) * CHUNK)]
    try:
        pipeline.push(inputs=[['value'], *rows])
    except Spark.SparkSdkError:
        if patiently(pipeline.get_status)['chunks_submitted'] == number:
            push(pipeline, number)


def pull(spark, pipeline):
    try:
        return pipeline.pull(max_chunks=3).data['data']
    except (Spark.SparkSdkError, Spark.SparkApiError):
        url = f'{spark.config.base_url.full}/api/v4/batch/{pipeline.batch_id}/chunkresults'
        while True:
            try:
                answer = spark.http_client.get(url, params={'again': 'true'}, headers=spark.config.auth.as_header)
                if answer.status_code == 200:
                    return answer.json()['data']
            except Exception as error:
                print(error)
            time.sleep(0.05)


base_url = Spark.BaseUrl(url=os.environ['SPARK_URL'], tenant=os.environ['SPARK_TENANT'])
with Spark.Client(base_url=base_url, logger=False) as spark:
    made = patiently(spark.batches.create, os.environ['SERVICE'])
    pipeline = spark.batches.of(made['id'])
    results = {}
    print('begun', flush=True)
    for number in range(CHUNKS):
        push(pipeline, number)
        results.update({each['id']: each['outputs'][1:] for each in pull(spark, pipeline)})
    while len(results) < CHUNKS:
        results.update({each['id']: each['outputs'][1:] for each in pull(spark, pipeline)})
    patiently(pipeline.dispose)
    print(json.dumps(sorted(value for each in results.values() for value, *_ in each)))
