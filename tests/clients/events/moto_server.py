"""moto's server with one queue behind a topic and an event bus: moto_server.py PORT QUEUE.

What it stands for outlives a restart at Amazon, while moto forgets it, and its event bus takes and drops what no rule
asks for. So all of it is made before the port opens.
"""

import json
import sys

import boto3
import moto
import moto.server

ACCOUNT = "123456789012"


def prepare(queue):
    session = boto3.Session("mock", "mock", region_name="us-east-1")
    attributes = {"FifoQueue": "true"} if queue.endswith(".fifo") else {}
    session.client("sqs").create_queue(QueueName=queue, Attributes=attributes)
    if attributes:
        return
    arn = f"arn:aws:sqs:us-east-1:{ACCOUNT}:{queue}"
    sns = session.client("sns")
    topic = sns.create_topic(Name=queue)["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})
    events = session.client("events")
    events.put_rule(Name="all", EventPattern=json.dumps({"source": ["aws.s3"]}))
    events.put_targets(Rule="all", Targets=[{"Id": "queue", "Arn": arn}])


if __name__ == "__main__":
    port, queue = sys.argv[1:]
    # The server's state is that of the mock in the same process.
    mock = moto.mock_aws()
    mock.start()
    prepare(queue)
    mock.stop(remove_data=False)
    moto.server.main(["-H", "127.0.0.1", "-p", port])
