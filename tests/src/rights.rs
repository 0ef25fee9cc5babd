//! What each function may do on AWS. `tests/flows/template.rs` holds the template to it,
//! `tests/flows/lambda_emulator.rs` the code.

/// By the function's name in the template: what its code calls, and on what; besides these only its own log.
pub const CALLS: &[(&str, &[(&str, &str)])] = &[
    (
        "OauthStart",
        &[
            ("dynamodb:GetItem", "Table"),
            ("dynamodb:PutItem", "Table"),
            ("secretsmanager:GetSecretValue", "SigningKey"),
        ],
    ),
    (
        "OauthCallback",
        &[
            ("dynamodb:GetItem", "Table"),
            ("dynamodb:UpdateItem", "Table"),
            ("dynamodb:Query", "Table/index/due"),
            ("secretsmanager:GetSecretValue", "SigningKey"),
            ("secretsmanager:GetSecretValue", "secret:{stack}/app/*"),
            ("sts:GetWebIdentityToken", "*"),
            ("kms:Sign", "CertificateKey"),
            ("lambda:InvokeFunction", "SecretFunction"),
            ("secretsmanager:GetSecretValue", "AppSecrets"),
            ("secretsmanager:CreateSecret", "secret:{stack}/grant/*"),
            ("secretsmanager:GetSecretValue", "secret:{stack}/grant/*"),
            ("secretsmanager:PutSecretValue", "secret:{stack}/grant/*"),
            ("secretsmanager:RestoreSecret", "secret:{stack}/grant/*"),
        ],
    ),
    (
        "TokenRefresh",
        &[
            ("dynamodb:GetItem", "Table"),
            ("dynamodb:UpdateItem", "Table"),
            ("dynamodb:Query", "Table/index/due"),
            ("secretsmanager:GetSecretValue", "secret:{stack}/app/*"),
            ("sts:GetWebIdentityToken", "*"),
            ("kms:Sign", "CertificateKey"),
            ("lambda:InvokeFunction", "SecretFunction"),
            ("secretsmanager:GetSecretValue", "AppSecrets"),
            ("secretsmanager:GetSecretValue", "secret:{stack}/grant/*"),
            ("secretsmanager:PutSecretValue", "secret:{stack}/grant/*"),
        ],
    ),
    (
        "PollDispatch",
        &[("dynamodb:Query", "Table/index/due"), ("dynamodb:UpdateItem", "Table"), ("sqs:SendMessage", "PollQueue")],
    ),
    (
        "BouncePoll",
        &[
            ("dynamodb:GetItem", "Table"),
            ("dynamodb:PutItem", "Table"),
            ("dynamodb:UpdateItem", "Table"),
            ("secretsmanager:GetSecretValue", "secret:{stack}/app/*"),
            ("sts:GetWebIdentityToken", "*"),
            ("kms:Sign", "CertificateKey"),
            ("lambda:InvokeFunction", "SecretFunction"),
            ("secretsmanager:GetSecretValue", "AppSecrets"),
            ("secretsmanager:GetSecretValue", "secret:{stack}/password/*"),
            ("secretsmanager:GetSecretValue", "secret:{stack}/grant/*"),
            ("secretsmanager:PutSecretValue", "secret:{stack}/grant/*"),
            ("s3:PutObject", "RawMail/*"),
            ("sqs:ReceiveMessage", "PollQueue"),
            ("sqs:DeleteMessage", "PollQueue"),
            ("sqs:GetQueueAttributes", "PollQueue"),
        ],
    ),
    (
        "StandingUpdate",
        &[
            ("dynamodb:BatchGetItem", "Table"),
            ("dynamodb:GetItem", "Table"),
            ("dynamodb:PutItem", "Table"),
            ("dynamodb:Query", "Table"),
            ("dynamodb:UpdateItem", "Table"),
            ("secretsmanager:GetSecretValue", "SigningKey"),
            // By the event source in its name.
            ("dynamodb:DescribeStream", "Table.StreamArn"),
            ("dynamodb:GetRecords", "Table.StreamArn"),
            ("dynamodb:GetShardIterator", "Table.StreamArn"),
            ("sqs:SendMessage", "StandingDeadLetters"),
        ],
    ),
    (
        "EventDelivery",
        &[
            ("dynamodb:BatchGetItem", "Table"),
            ("dynamodb:GetItem", "Table"),
            ("dynamodb:PutItem", "Table"),
            ("dynamodb:UpdateItem", "Table"),
            ("dynamodb:DeleteItem", "Table"),
            ("dynamodb:Query", "Table"),
            ("dynamodb:Query", "Table/index/due"),
            ("dynamodb:Query", "Table/index/arrivals"),
            ("secretsmanager:GetSecretValue", "SigningKey"),
            ("secretsmanager:GetSecretValue", "secret:{stack}/endpoint/*"),
            ("sqs:SendMessage", "EventQueues"),
            ("sns:Publish", "EventTopics"),
            ("events:PutEvents", "EventBuses"),
            ("states:StartExecution", "StateMachines"),
            ("ses:PutSuppressedDestination", "*"),
            ("ses:DeleteSuppressedDestination", "*"),
            // By the event source in its name.
            ("dynamodb:DescribeStream", "Table.StreamArn"),
            ("dynamodb:GetRecords", "Table.StreamArn"),
            ("dynamodb:GetShardIterator", "Table.StreamArn"),
            ("sqs:SendMessage", "EventDeadLetters"),
        ],
    ),
    (
        "Asking",
        &[
            ("dynamodb:BatchGetItem", "Table"),
            ("dynamodb:BatchWriteItem", "Table"),
            ("dynamodb:GetItem", "Table"),
            ("dynamodb:PutItem", "Table"),
            ("dynamodb:Query", "Table"),
            ("dynamodb:Query", "Table/index/due"),
            ("dynamodb:Query", "Table/index/arrivals"),
        ],
    ),
];

/// The actions alone, of one function.
#[must_use]
pub fn actions(function: &str) -> std::collections::BTreeSet<String> {
    let calls = CALLS.iter().filter(|(name, _)| *name == function).flat_map(|(_, calls)| calls.iter());
    calls.map(|(action, _)| (*action).to_owned()).collect()
}
