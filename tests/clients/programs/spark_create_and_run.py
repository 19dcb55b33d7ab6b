#!/usr/bin/env python
import json
import os
import time

import cspark.sdk as Spark
from dotenv import load_dotenv


def create_and_run(batches: Spark.Batches):
    def print_status(status, msg):
        """Convenience function to print the status of the batch pipeline."""
        a, b, c = status['records_available'], status['record_submitted'], status['records_completed']
        print(f'{msg} :: {a} of {b} records submitted ({c} processed)')

    chunks = []
    with open(os.environ['INPUTS'], 'r') as f:
        data = json.load(f)
        chunks = Spark.create_chunks(data, chunk_size=150)

    if len(chunks) == 0:
        print('no data to process')
        return

    results = []
    batch = batches.create(os.environ['SERVICE'])
    print('batch created', batch.data)

    if not isinstance(batch.data, dict):
        print('failed to create a batch pipeline')
        return

    pipeline = batches.of(batch.data['id'])
    try:
        submission = pipeline.push(chunks=chunks)
        print('assessed data', pipeline.stats)
        print('submitted data', submission.data)
        time.sleep(1)

        status = pipeline.get_status().data
        print_status(status, 'first status check')

        while status['records_completed'] < status['record_submitted']:
            status = pipeline.get_status().data
            print_status(status, 'subsequent status check')

            if status['records_available'] > 0:
                result = pipeline.pull()
                print_status(result.data['status'], 'data retrieval status')
                for r in result.data['data']:
                    results.extend(r['outputs'])
                print('consumed {} outputs so far'.format(len(results)))

            time.sleep(2)
    except Exception as e:
        print(e)
    finally:
        state = pipeline.dispose()
        print(state.data)
        print('consumed a total of {} outputs \nDone! 🎉'.format(len(results)))
        with open(os.environ['OUTPUTS'], 'w') as f:
            json.dump(results, f, indent=2)
    # END: Main workflow

if __name__ == '__main__':
    # load Spark settings from .env file
    load_dotenv()

    # create a Spark client
    spark = Spark.Client(base_url=Spark.BaseUrl(url=os.environ['SPARK_URL'], tenant=os.environ['SPARK_TENANT']))
    with spark.batches as b:
        create_and_run(b)
