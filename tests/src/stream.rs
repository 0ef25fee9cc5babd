//! Records of the table's stream (DynamoDB Streams), as Lambda's event source hands them over.

use serde_json::{Value, json};

/// The query for all items of an account's partition.
#[must_use]
pub fn partition(table: &str, account: &str) -> Value {
    json!({
        "TableName": table,
        "KeyConditionExpression": "pk = :pk",
        "ExpressionAttributeValues": { ":pk": { "S": format!("ACCOUNT#{account}") } },
    })
}

/// What a query found, as inserted one after the other.
#[must_use]
pub fn records(found: &Value) -> Vec<Value> {
    let items = found["Items"].as_array().map(Vec::as_slice).unwrap_or_default();
    items.iter().enumerate().map(|(number, item)| record(number, item)).collect()
}

/// One item that was inserted.
#[must_use]
pub fn record(number: usize, item: &Value) -> Value {
    json!({
        "eventID": format!("{number:032}"), "eventName": "INSERT", "eventVersion": "1.1", "eventSource": "aws:dynamodb",
        "awsRegion": "eu-west-1", "eventSourceARN": "arn:aws:dynamodb:eu-west-1:111122223333:table/rebond/stream/x",
        "dynamodb": {
            "ApproximateCreationDateTime": 1_700_000_000.0, "Keys": { "pk": item["pk"], "sk": item["sk"] },
            "NewImage": item, "SequenceNumber": format!("{:021}", number + 1), "SizeBytes": 100,
            "StreamViewType": "NEW_AND_OLD_IMAGES",
        },
    })
}
