//! Queries and scans.

use super::*;

/// 20 lines of order `a`, at 0 to 19, and one of order `b`.
async fn start_with_lines() -> Wire {
    let wire = start_with_tables().await;
    for at in 0..20 {
        let item = json!({"order": {"S": "a"}, "at": {"N": at.to_string()}, "odd": {"BOOL": at % 2 == 1}});
        wire.done("PutItem", json!({"TableName": "lines", "Item": item}))
            .await;
    }
    wire.done(
        "PutItem",
        json!({"TableName": "lines", "Item": {"order": {"S": "b"}, "at": {"N": "7"}}}),
    )
    .await;
    wire
}

fn query(more: Json) -> Json {
    let mut input = json!({
        "TableName": "lines", "KeyConditionExpression": "#o = :o", "ExpressionAttributeNames": {"#o": "order"},
        "ExpressionAttributeValues": {":o": {"S": "a"}}
    });
    for (name, value) in more.as_object().unwrap() {
        input[name] = value.clone();
    }
    input
}

fn places(answer: &Json) -> Vec<i64> {
    answer["Items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["at"]["N"].as_str().unwrap().parse().unwrap())
        .collect()
}

#[tokio::test]
async fn a_query_reads_a_part_of_a_partition_in_order() {
    let wire = start_with_lines().await;
    assert_eq!(
        places(&wire.done("Query", query(json!({}))).await),
        (0..20).collect::<Vec<_>>()
    );
    assert_eq!(
        places(
            &wire
                .done("Query", query(json!({"ScanIndexForward": false})))
                .await
        ),
        (0..20).rev().collect::<Vec<_>>()
    );
    let between = query(json!({
        "KeyConditionExpression": "#o = :o AND #t BETWEEN :x AND :y",
        "ExpressionAttributeNames": {"#o": "order", "#t": "at"},
        "ExpressionAttributeValues": {":o": {"S": "a"}, ":x": {"N": "3"}, ":y": {"N": "5.5"}}
    }));
    let found = wire.done("Query", between).await;
    assert_eq!(places(&found), [3, 4, 5]);
    assert_eq!(
        (
            &found["Count"],
            &found["ScannedCount"],
            found.get("LastEvaluatedKey")
        ),
        (&json!(3), &json!(3), None)
    );
}

#[tokio::test]
async fn pages_follow_each_other_without_gap_or_repeat() {
    let wire = start_with_lines().await;
    for (operation, total) in [("Query", 20), ("Scan", 21)] {
        let (mut seen, mut start, mut pages) = (Vec::new(), Json::Null, 0);
        loop {
            let more = json!({"Limit": 6, "ExclusiveStartKey": start});
            let input = if operation == "Query" {
                query(more)
            } else {
                json!({"TableName": "lines", "Limit": 6, "ExclusiveStartKey": start})
            };
            let page = wire.done(operation, input).await;
            seen.extend(page["Items"].as_array().unwrap().iter().map(ToString::to_string));
            start = page["LastEvaluatedKey"].clone();
            pages += 1;
            if start.is_null() {
                break;
            }
        }
        assert_eq!((seen.len(), pages), (total, 4), "{operation}");
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), total, "{operation}");
    }
}

#[tokio::test]
async fn filters_projections_and_counts() {
    let wire = start_with_lines().await;
    let odd = json!({
        "TableName": "lines", "FilterExpression": "odd = :t", "ProjectionExpression": "#t",
        "ExpressionAttributeNames": {"#t": "at"}, "ExpressionAttributeValues": {":t": {"BOOL": true}}
    });
    let found = wire.done("Scan", odd).await;
    assert_eq!(
        (&found["Count"], &found["ScannedCount"]),
        (&json!(10), &json!(21))
    );
    assert_eq!(found["Items"][0], json!({"at": {"N": "1"}}));
    let counted = wire
        .done(
            "Query",
            query(json!({"Select": "COUNT", "ReturnConsumedCapacity": "TOTAL"})),
        )
        .await;
    assert_eq!(
        counted,
        json!({"Count": 20, "ScannedCount": 20, "ConsumedCapacity": {"TableName": "lines", "CapacityUnits": 0.5}})
    );
}

#[tokio::test]
async fn segments_together_are_the_whole() {
    let wire = start_with_lines().await;
    let mut count = 0;
    for part in 0..4 {
        let found = wire
            .done(
                "Scan",
                json!({"TableName": "lines", "Segment": part, "TotalSegments": 4}),
            )
            .await;
        count += found["Count"].as_i64().unwrap();
    }
    assert_eq!(count, 21);
}

#[tokio::test]
async fn what_is_no_query_or_scan_is_refused_in_dynamodbs_words() {
    let wire = start_with_lines().await;
    let parameters = "One or more parameter values were invalid:";
    let cases = [
        ("Query", json!({"TableName": "lines"}), "Either the KeyConditions or KeyConditionExpression parameter must be specified in the request.".to_owned()),
        ("Query", query(json!({"IndexName": "by-at"})), "The table does not have the specified index: by-at".into()),
        ("Scan", json!({"TableName": "lines", "IndexName": "by-at"}), "The table does not have the specified index: by-at".into()),
        ("Scan", json!({"TableName": "lines", "Select": "SPECIFIC_ATTRIBUTES"}), "Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES".into()),
        ("Scan", json!({"TableName": "lines", "Select": "COUNT", "ProjectionExpression": "odd"}), "Cannot specify the ProjectionExpression when choosing to get only the Count".into()),
        ("Scan", json!({"TableName": "lines", "Select": "ALL_ATTRIBUTES", "ProjectionExpression": "odd"}), "Cannot specify the ProjectionExpression when choosing to get ALL_ATTRIBUTES".into()),
        ("Query", query(json!({"Select": "ALL_PROJECTED_ATTRIBUTES"})), "ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName".into()),
        ("Scan", json!({"TableName": "lines", "Limit": 0}), "1 validation error detected: Value '0' at 'limit' failed to satisfy constraint: Member must have value greater than or equal to 1".into()),
        ("Scan", json!({"TableName": "lines", "Segment": 0}), "The TotalSegments parameter is required but was not present in the request when Segment parameter is present".into()),
        ("Scan", json!({"TableName": "lines", "TotalSegments": 1}), "The Segment parameter is required but was not present in the request when parameter TotalSegments is present".into()),
        ("Scan", json!({"TableName": "lines", "Segment": 2, "TotalSegments": 2}), "The Segment parameter is zero-based and must be less than parameter TotalSegments: Segment: 2 is not less than TotalSegments: 2".into()),
        ("Scan", json!({"TableName": "lines", "ExclusiveStartKey": {"order": {"S": "a"}}}), "The provided starting key is invalid: The provided key element does not match the schema".into()),
        ("Scan", json!({"TableName": "lines", "ExclusiveStartKey": {"order": {}}}), "The provided starting key is invalid: Supplied AttributeValue is empty, must contain exactly one of the supported datatypes".into()),
        ("Scan", json!({"TableName": "lines", "ScanFilter": {}}), format!("{parameters} \"ScanFilter\" is not supported yet")),
        ("Query", query(json!({"QueryFilter": {}})), format!("{parameters} \"QueryFilter\" is not supported yet")),
    ];
    for (operation, input, text) in cases {
        wire.invalid(operation, input, &text).await;
    }
}
