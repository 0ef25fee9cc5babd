//! What `template.yaml` deploys, read as CloudFormation would get it from SAM.

use rebond::account::Cloud;
use rebond::oauth::entra;
use rebond_tests::process::{tool, workspace};
use rebond_tests::rights::CALLS;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

static TEMPLATE: LazyLock<Value> = LazyLock::new(|| {
    let output = tool("python")
        .arg(workspace().join("tests/translate.py"))
        .arg(workspace().join("template.yaml"))
        .env("AWS_DEFAULT_REGION", "us-east-1")
        .output()
        .expect("infra/setup/tools has been run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
});
static RESOURCES: LazyLock<serde_json::Map<String, Value>> =
    LazyLock::new(|| TEMPLATE["Resources"].as_object().unwrap().clone());

const FUNCTIONS: [&str; 8] = [
    "OauthStart",
    "OauthCallback",
    "TokenRefresh",
    "PollDispatch",
    "BouncePoll",
    "StandingUpdate",
    "EventDelivery",
    "Asking",
];

fn of_type(kind: &str) -> impl Iterator<Item = (&'static String, &'static Value)> {
    RESOURCES.iter().filter(move |(_, resource)| resource["Type"] == kind)
}

fn properties(name: &str) -> &'static Value {
    &RESOURCES[name]["Properties"]
}

/// A string or a list as a list.
fn list(value: &Value) -> Vec<&Value> {
    value.as_array().map_or_else(|| vec![value], |values| values.iter().collect())
}

/// A resource of a statement in short: `Table`, `Table/index/due`, `secret:{stack}/app/*`.
fn short(resource: &Value) -> String {
    if let Some(target) = resource["Fn::GetAtt"].as_array() {
        let name = target[0].as_str().unwrap().to_owned();
        return match target[1].as_str().unwrap() {
            "Arn" => name,
            other => format!("{name}.{other}"),
        };
    }
    if let Some(target) = resource["Ref"].as_str().or(resource.as_str()) {
        return target.to_owned();
    }
    let text = resource["Fn::Sub"].as_str().unwrap_or_else(|| panic!("neither a resource nor a name: {resource}"));
    let text = text.replace("${Table.Arn}", "Table").replace("${RawMail.Arn}", "RawMail");
    let text = text.replace("${AWS::StackName}", "{stack}");
    text.replace("arn:${AWS::Partition}:secretsmanager:${AWS::Region}:${AWS::AccountId}:", "")
}

/// Every statement of a role, as it stands when all conditions of the template are true.
fn statements(role: &Value) -> Vec<&Value> {
    let policies = role["Properties"]["Policies"].as_array().unwrap();
    let all = policies.iter().flat_map(|policy| policy["PolicyDocument"]["Statement"].as_array().unwrap());
    all.map(|statement| statement["Fn::If"].get(1).unwrap_or(statement)).collect()
}

/// Every (action, resource) that a role allows.
fn rights(role: &Value) -> BTreeSet<(String, String)> {
    let mut rights = BTreeSet::new();
    for statement in statements(role) {
        assert_eq!(statement["Effect"], "Allow");
        for action in list(&statement["Action"]) {
            for resource in list(&statement["Resource"]) {
                rights.insert((action.as_str().unwrap().to_owned(), short(resource)));
            }
        }
    }
    rights
}

/// Those that speak with mail servers, identity providers and webhooks: put into a network of the operator's own where one is named.
const IN_NETWORK: [&str; 4] = ["OauthCallback", "TokenRefresh", "BouncePoll", "EventDelivery"];

/// What Lambda does with a function's role to put it there (AWS, "Giving Lambda functions access to resources in an Amazon
/// VPC"); most of it knows no resource.
const NETWORK: [&str; 6] = [
    "ec2:CreateNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:DeleteNetworkInterface",
    "ec2:AssignPrivateIpAddresses",
    "ec2:UnassignPrivateIpAddresses",
];

#[test]
fn a_network_of_the_operators_own_is_for_lambda_alone_and_for_nobody_by_default() {
    for function in FUNCTIONS {
        let network = &properties(function)["VpcConfig"];
        if !IN_NETWORK.contains(&function) {
            assert!(network.is_null(), "{function}: {network}");
            continue;
        }
        assert_eq!(network["Fn::If"][0], "InNetwork", "{function}");
        assert_eq!(network["Fn::If"][1]["SubnetIds"]["Ref"], "Subnets");
        assert_eq!(network["Fn::If"][1]["SecurityGroupIds"]["Ref"], "SecurityGroups");
        assert_eq!(network["Fn::If"][2]["Ref"], "AWS::NoValue");
        let policies = RESOURCES[&format!("{function}Role")]["Properties"]["Policies"].as_array().unwrap();
        let all = policies.iter().flat_map(|policy| policy["PolicyDocument"]["Statement"].as_array().unwrap());
        let found: Vec<_> = all.filter(|it| it["Fn::If"][1]["Sid"] == "Network").collect();
        let [statement] = found[..] else { panic!("{function}: {found:?}") };
        assert_eq!(statement["Fn::If"][0], "InNetwork");
        // Where the function's own code asks, the key is there, and the right is not.
        assert_eq!(statement["Fn::If"][1]["Condition"]["Null"]["lambda:SourceFunctionArn"], "true");
    }
}

#[test]
fn f49_each_function_may_do_what_it_does_and_nothing_else() {
    let text = |pair: &(&str, &str)| (pair.0.to_owned(), pair.1.to_owned());
    for (function, calls) in CALLS {
        let mut expected: BTreeSet<_> = calls.iter().map(text).collect();
        let log = format!("{function}Log");
        expected.extend([("logs:CreateLogStream", log.as_str()), ("logs:PutLogEvents", log.as_str())].iter().map(text));
        if IN_NETWORK.contains(function) {
            expected.extend(NETWORK.map(|action| (action.to_owned(), "*".to_owned())));
        }
        assert_eq!(rights(&RESOURCES[&format!("{function}Role")]), expected, "{function}");
        assert_eq!(properties(function)["Role"]["Fn::GetAtt"][0], format!("{function}Role"));
    }
    assert_eq!(CALLS.iter().map(|(name, _)| *name).collect::<Vec<_>>(), FUNCTIONS);
    assert_eq!(of_type("AWS::Lambda::Function").count(), FUNCTIONS.len());
}

#[test]
fn f49_no_role_names_a_managed_policy_or_every_resource() {
    for (name, role) in of_type("AWS::IAM::Role") {
        assert_eq!(role["Properties"].get("ManagedPolicyArns"), None, "{name}");
        for (action, resource) in rights(role) {
            assert!(!action.contains('*'), "{name}: {action}");
            if action == "sts:GetWebIdentityToken" {
                // It knows no resource; what it is for is in the conditions, which the next test reads.
                continue;
            }
            if action.starts_with("ses:") && action.ends_with("SuppressedDestination") {
                // Neither do these; the statement is there only where the operator asked for it.
                continue;
            }
            if NETWORK.contains(&&action[..]) {
                // Nor does this; a test of its own reads for whom it is.
                continue;
            }
            let prefix = resource.strip_suffix("/*").unwrap_or(&resource);
            assert!(!prefix.contains('*') && !prefix.is_empty(), "{name}: {action} on {resource}");
        }
    }
    assert_eq!(of_type("AWS::IAM::Policy").count() + of_type("AWS::IAM::ManagedPolicy").count(), 0);
}

/// A role may say who it is to the identity provider, for some minutes, and to nobody else.
#[test]
fn who_a_function_is_is_told_to_the_identity_provider_alone() {
    let mut found = 0;
    for (name, role) in of_type("AWS::IAM::Role") {
        for statement in statements(role).into_iter().filter(|one| one["Action"] == "sts:GetWebIdentityToken") {
            found += 1;
            let expected = serde_json::json!({
                "ForAllValues:StringEquals": {"sts:IdentityTokenAudience": rebond::oauth::entra::EXCHANGE_AUDIENCE},
                "StringEquals": {"sts:SigningAlgorithm": "RS256"},
                "NumericLessThanEquals": {"sts:DurationSeconds": 300},
            });
            assert_eq!(statement["Condition"], expected, "{name}");
        }
    }
    assert_eq!(found, 3, "the functions that prove an app");
}

#[test]
fn the_schedules_may_invoke_their_function_alone_and_say_nothing() {
    for function in ["TokenRefresh", "PollDispatch", "EventDelivery"] {
        let expected = BTreeSet::from([("lambda:InvokeFunction".to_owned(), function.to_owned())]);
        assert_eq!(rights(&RESOURCES[&format!("{function}TickRole")]), expected);
        // Else the function is sent the scheduler's event, whose `account` is that of AWS.
        assert_eq!(properties(&format!("{function}Tick"))["Target"]["Input"], "{}");
    }
}

#[test]
fn kept_mail_is_private_encrypted_and_ends_by_itself() {
    let bucket = properties("RawMail");
    assert_eq!(RESOURCES["RawMail"]["Condition"], "KeepsRaw", "none by default");
    let closed = bucket["PublicAccessBlockConfiguration"].as_object().unwrap();
    assert!(closed.len() == 4 && closed.values().all(|value| value == true), "{closed:?}");
    let encrypted = &bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"][0];
    assert_eq!(encrypted["ServerSideEncryptionByDefault"]["SSEAlgorithm"], "AES256");
    let rule = &bucket["LifecycleConfiguration"]["Rules"][0];
    assert_eq!((&rule["Status"], &rule["ExpirationInDays"]["Ref"]), (&"Enabled".into(), &"KeepRaw".into()));
    // What is erased must be gone.
    assert!(bucket["VersioningConfiguration"].is_null());
    let refused = &properties("RawMailPolicy")["PolicyDocument"]["Statement"][0];
    assert_eq!(
        (&refused["Effect"], &refused["Condition"]["Bool"]["aws:SecureTransport"]),
        (&"Deny".into(), &"false".into())
    );
    let told = &properties("BouncePoll")["Environment"]["Variables"]["REBOND_RAW_BUCKET"]["Fn::If"];
    assert_eq!(
        (&told[0], &told[1]["Ref"], &told[2]["Ref"]),
        (&"KeepsRaw".into(), &"RawMail".into(), &"AWS::NoValue".into())
    );
}

#[test]
fn f49_no_function_that_the_internet_reaches_may_read_mailbox_passwords() {
    for function in ["OauthStart", "OauthCallback", "Asking"] {
        let reads = rights(&RESOURCES[&format!("{function}Role")]);
        assert!(!reads.iter().any(|(_, resource)| resource.contains("password")), "{reads:?}");
    }
}

#[test]
fn names_are_those_that_the_commands_look_for() {
    for (function, name) in FUNCTIONS.iter().zip([
        "oauth-start",
        "oauth-callback",
        "token-refresh",
        "poll-dispatch",
        "bounce-poll",
        "standing-update",
        "event-delivery",
        "api",
    ]) {
        assert_eq!(properties(function)["FunctionName"]["Fn::Sub"], format!("${{AWS::StackName}}-{name}"));
        assert_eq!(properties(function)["Environment"]["Variables"]["REBOND_STACK"]["Ref"], "AWS::StackName");
    }
    assert_eq!(properties("Table")["TableName"]["Ref"], "AWS::StackName");
    assert_eq!(properties("SigningKey")["Name"]["Fn::Sub"], "${AWS::StackName}/key/signing");
    assert_eq!(properties("PollDispatch")["Environment"]["Variables"]["REBOND_QUEUE_URL"]["Ref"], "PollQueue");
}

#[test]
fn a_message_stays_hidden_for_six_times_the_time_a_poll_may_take() {
    let poll = properties("BouncePoll")["Timeout"].as_u64().unwrap();
    let queue = properties("PollQueue");
    let hidden = queue["VisibilityTimeout"].as_u64().unwrap();
    let tries = queue["RedrivePolicy"]["maxReceiveCount"].as_u64().unwrap();
    assert!(hidden >= 6 * poll, "{hidden} < 6 × {poll}");
    assert!(queue["MessageRetentionPeriod"].as_u64().unwrap() > tries * hidden, "it would expire before its last try");
    let source = properties("BouncePollDue");
    assert_eq!(source["FunctionResponseTypes"], serde_json::json!(["ReportBatchItemFailures"]));
    assert!(source["BatchSize"].as_u64().unwrap() <= 10);
}

#[test]
fn the_stream_brings_new_facts_and_tells_what_failed() {
    let source = properties("StandingUpdateFacts");
    assert_eq!(source["FunctionResponseTypes"], serde_json::json!(["ReportBatchItemFailures"]));
    assert_eq!(source["StartingPosition"], "TRIM_HORIZON");
    assert_eq!(source["DestinationConfig"]["OnFailure"]["Destination"]["Fn::GetAtt"][0], "StandingDeadLetters");
    let pattern: Value =
        serde_json::from_str(source["FilterCriteria"]["Filters"][0]["Pattern"].as_str().unwrap()).unwrap();
    let expected = serde_json::json!({
        "eventName": ["INSERT"],
        "dynamodb": {
            "Keys": { "sk": { "S": [{ "prefix": "REPORT#" }] } },
            "NewImage": { "kind": { "S": ["bounce", "feedback", "delivered", "auto-reply"] } },
        },
    });
    assert_eq!(pattern, expected);
    // The kinds that anything can follow from.
    for kind in ["bounce", "delayed", "delivered", "feedback", "auto-reply", "disposition", "other"] {
        let named = expected["dynamodb"]["NewImage"]["kind"]["S"].as_array().unwrap().iter().any(|k| k == kind);
        let kind: rebond::report::Kind = serde_json::from_value(kind.into()).unwrap();
        assert_eq!(rebond::follow::Follower::concerns(kind), named, "{kind:?}");
    }
}

#[test]
fn the_stream_brings_what_is_told_and_tells_what_failed() {
    let source = properties("EventDeliveryChanges");
    assert_eq!(source["FunctionResponseTypes"], serde_json::json!(["ReportBatchItemFailures"]));
    assert_eq!(source["DestinationConfig"]["OnFailure"]["Destination"]["Fn::GetAtt"][0], "EventDeadLetters");
    // Else two batches of one address are told side by side.
    assert!(source["ParallelizationFactor"].as_u64().is_none_or(|factor| factor == 1));
    let filters = source["FilterCriteria"]["Filters"].as_array().unwrap().iter();
    let patterns: Vec<Value> =
        filters.map(|filter| serde_json::from_str(filter["Pattern"].as_str().unwrap()).unwrap()).collect();
    let of = |pattern: &Value| pattern["dynamodb"]["Keys"]["sk"]["S"].as_array().unwrap().clone();
    let prefixes: Vec<Value> = patterns.iter().flat_map(of).map(|one| one["prefix"].clone()).collect();
    assert_eq!(prefixes, ["REPORT#", "STANDING#", "STANDING#", "INCIDENT#", "DELIVERY#", "AUDIT#"]);
    assert!(patterns.len() <= 5, "Lambda takes five patterns of an event source");
    assert_eq!(patterns[1]["eventName"], serde_json::json!(["INSERT", "MODIFY"]));
    // What time cleans up, and not what an operator removes.
    assert_eq!(patterns[2]["userIdentity"]["principalId"], serde_json::json!(["dynamodb.amazonaws.com"]));
    let word = |event: rebond::table::AuditEvent| serde_json::to_value(event).unwrap();
    use rebond::table::AuditEvent::{Connected, Disconnected, HealthChanged};
    let named = [word(HealthChanged), word(Connected), word(Disconnected)];
    assert_eq!(patterns[4]["dynamodb"]["NewImage"]["entry"]["M"]["event"]["S"], serde_json::json!(named));
}

#[test]
fn the_api_serves_these_routes_and_logs_no_query() {
    let mut routes = BTreeMap::new();
    for (path, methods) in properties("Api")["Body"]["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let target = operation["x-amazon-apigateway-integration"]["uri"].to_string();
            let function = FUNCTIONS.iter().find(|name| target.contains(&format!("{name}.Arn"))).unwrap();
            routes.insert(format!("{} {path}", method.to_uppercase()), *function);
        }
    }
    let expected = [
        ("X-AMAZON-APIGATEWAY-ANY-METHOD /api/v1/{proxy+}", "Asking"),
        ("GET /oauth/start/{account}", "OauthStart"),
        ("GET /oauth/callback", "OauthCallback"),
        ("GET /nl/jsp/oauth.jsp", "OauthCallback"),
        ("GET /oauth/done", "OauthCallback"),
    ];
    assert_eq!(routes, expected.map(|(route, function)| (route.to_owned(), function)).into());
    let limits = &properties("ApiApiGatewayDefaultStage")["RouteSettings"]["ANY /api/v1/{proxy+}"];
    assert_eq!(limits["ThrottlingRateLimit"]["Ref"], "ApiRate", "{limits}");
    let format = properties("ApiApiGatewayDefaultStage")["AccessLogSettings"]["Format"].as_str().unwrap();
    serde_json::from_str::<Value>(format).expect("a line of JSON");
    for word in ["path", "query", "rawPath", "header", "protocol", "authorizer"] {
        assert!(!format.contains(word), "{format}");
    }
}

#[test]
fn the_table_is_the_one_that_the_code_makes_on_one_machine() {
    let source = std::fs::read_to_string(workspace().join("shared/src/table/keys.rs")).unwrap();
    let constant = |name: &str| {
        let at = source.find(&format!("const {name}: &str = \"")).unwrap_or_else(|| panic!("no {name} in keys.rs"));
        source[at..].split('"').nth(1).unwrap().to_owned()
    };
    let table = properties("Table");
    let key = |schema: &Value| -> Vec<String> {
        schema["KeySchema"]
            .as_array()
            .unwrap()
            .iter()
            .map(|k| k["AttributeName"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(key(table), [constant("PK"), constant("SK")]);
    let indexes: BTreeMap<_, _> = list(&table["GlobalSecondaryIndexes"])
        .into_iter()
        .map(|index| {
            let projection = index["Projection"]["ProjectionType"].as_str().unwrap();
            (index["IndexName"].as_str().unwrap().to_owned(), (key(index), projection.to_owned()))
        })
        .collect();
    let expected = [
        (constant("DUE_INDEX"), (vec![constant("DUE_SHARD"), constant("NEXT_DUE")], "ALL".to_owned())),
        (constant("ARRIVALS_INDEX"), (vec![constant("ACCOUNT"), constant("ARRIVED")], "KEYS_ONLY".to_owned())),
    ];
    assert_eq!(indexes, expected.into());
    let types: BTreeMap<_, _> = list(&table["AttributeDefinitions"])
        .into_iter()
        .map(|a| (a["AttributeName"].as_str().unwrap(), a["AttributeType"].as_str().unwrap()))
        .collect();
    let numbers: Vec<_> = types.iter().filter(|(_, kind)| **kind == "N").map(|(name, _)| *name).collect();
    assert_eq!(numbers, ["arrived", "next_due"]);
    assert_eq!(table["TimeToLiveSpecification"]["AttributeName"], constant("EXPIRES"));
    assert_eq!(table["StreamSpecification"]["StreamViewType"], "NEW_AND_OLD_IMAGES");
    assert_eq!(table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"], true);
}

/// What Lambda itself does for a function does not go through the function's network.
fn by_lambda(action: &str) -> bool {
    let polls = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "dynamodb:DescribeStream"];
    action.starts_with("logs:") || action.starts_with("ec2:") || polls.contains(&action)
}

/// The first label of the host that an action is asked of.
fn endpoint(action: &str) -> String {
    match action.split(':').next().unwrap() {
        "ses" => "email".to_owned(),
        service => service.to_owned(),
    }
}

#[test]
fn what_must_be_reachable_is_told_by_the_template_and_the_document() {
    let document = std::fs::read_to_string(workspace().join("docs/mailboxes.md")).unwrap();
    for cloud in [Cloud::Global, Cloud::GccHigh, Cloud::Dod, Cloud::China] {
        let hosts = entra::hosts(cloud);
        let login = hosts.login.strip_prefix("https://").unwrap();
        let row = format!("| {} | {login} | {} | {} |\n", cloud.as_str(), hosts.graph, hosts.mail);
        assert!(document.contains(&row), "{row}");
    }
    let told = &TEMPLATE["Outputs"]["Egress"]["Value"]["Fn::Join"][1];
    let told: BTreeSet<&str> = list(told).into_iter().filter_map(Value::as_str).collect();
    let hosts = entra::hosts(Cloud::Global);
    let login = format!("{}:443", hosts.login.strip_prefix("https://").unwrap());
    let [graph, imap, pop3] =
        [(hosts.graph, 443), (hosts.mail, 993), (hosts.mail, 995)].map(|(h, p)| format!("{h}:{p}"));
    assert_eq!(told, BTreeSet::from([login.as_str(), &graph, &imap, &pop3]));
    // And every service that a function in a private network may call.
    let services: BTreeSet<String> = list(&TEMPLATE["Outputs"]["Egress"]["Value"]["Fn::Join"][1])
        .into_iter()
        .filter_map(|host| Some(host["Fn::Sub"].as_str()?.split('.').next().unwrap().to_owned()))
        .collect();
    let private = FUNCTIONS.into_iter().filter(|name| !properties(name)["VpcConfig"].is_null());
    let mut called = BTreeSet::new();
    for name in private {
        let role = RESOURCES[name]["Properties"]["Role"]["Fn::GetAtt"][0].as_str().unwrap();
        for policy in list(&properties(role)["Policies"]) {
            for statement in list(&policy["PolicyDocument"]["Statement"]) {
                let statement = statement["Fn::If"].get(1).unwrap_or(statement);
                let actions = list(&statement["Action"]).into_iter().map(|action| action.as_str().unwrap());
                called.extend(actions.filter(|action| !by_lambda(action)).map(endpoint));
            }
        }
    }
    assert_eq!(called, services);
}
