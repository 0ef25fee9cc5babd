//! The adapters for Secrets Manager and SQS against moto, over HTTP as against AWS.

use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use rebond::queue::{PollRequest, Queue, Sqs};
use rebond::secret::{ExposeSecret, Secret};
use rebond::vault::{Kms, KmsError, Name, Put, SecretsManager, Vault, Version};
use rebond_tests::moto::Moto;
use rebond_tests::stack::{config, signed};
use std::sync::{Arc, Mutex};
use uuid::Uuid;

fn secret(text: &str) -> Secret {
    Secret::from(text.to_owned())
}

async fn vault(moto: &Moto) -> SecretsManager {
    SecretsManager::new(aws_sdk_secretsmanager::Client::new(&config(moto.endpoint()).await), "stack")
}

async fn read(vault: &SecretsManager, name: &Name, version: Version) -> Option<String> {
    vault.get(name, version).await.unwrap().map(|value| value.expose_secret().to_owned())
}

#[tokio::test]
async fn a_secret_is_kept_by_version_and_the_second_writer_of_a_version_is_refused() {
    let moto = Moto::start().unwrap();
    let vault = vault(&moto).await;
    let name = Name::Grant("bounces".parse().unwrap());
    let (first, second) = (Uuid::from_u128(1), Uuid::from_u128(2));
    assert_eq!(read(&vault, &name, Version::Current).await, None);
    assert_eq!(vault.put(&name, first, &secret("one")).await.unwrap(), Put::Stored);
    assert_eq!(vault.put(&name, first, &secret("one")).await.unwrap(), Put::Stored, "the same again is a success");
    assert_eq!(vault.put(&name, first, &secret("other")).await.unwrap(), Put::Taken);
    assert_eq!(vault.put(&name, second, &secret("two")).await.unwrap(), Put::Stored);
    assert_eq!(read(&vault, &name, Version::Current).await.as_deref(), Some("two"));
    assert_eq!(read(&vault, &name, Version::Id(first)).await.as_deref(), Some("one"));
    assert_eq!(read(&vault, &name, Version::Id(Uuid::from_u128(3))).await, None);
}

#[tokio::test]
async fn a_removed_secret_is_gone_at_once_and_its_name_is_free() {
    let moto = Moto::start().unwrap();
    let vault = vault(&moto).await;
    let name = Name::App("entra".parse().unwrap());
    vault.put(&name, Uuid::from_u128(1), &secret("one")).await.unwrap();
    vault.remove(&name).await.unwrap();
    vault.remove(&name).await.unwrap();
    assert_eq!(read(&vault, &name, Version::Current).await, None);
    assert_eq!(vault.put(&name, Uuid::from_u128(2), &secret("two")).await.unwrap(), Put::Stored);
    assert_eq!(read(&vault, &name, Version::Current).await.as_deref(), Some("two"));
}

#[tokio::test]
async fn a_vault_that_is_not_there_is_an_error_without_the_value() {
    let moto = Moto::start().unwrap();
    let vault = vault(&moto).await;
    drop(moto);
    let name = Name::Grant("bounces".parse().unwrap());
    let error = vault.put(&name, Uuid::from_u128(1), &secret("canary-4711")).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("canary-4711"), "{error:?}");
    assert!(error.to_string().contains("grant/bounces"), "{error}");
}

#[tokio::test]
async fn kms_gives_a_public_key_and_a_signature_and_says_what_it_refuses() {
    use aws_sdk_kms::types::{KeySpec, KeyUsageType};
    let moto = Moto::start().unwrap();
    let client = aws_sdk_kms::Client::new(&config(moto.endpoint()).await);
    let made = client.create_key().key_usage(KeyUsageType::SignVerify).key_spec(KeySpec::Rsa2048).send().await.unwrap();
    let arn = made.key_metadata.unwrap().arn.unwrap();
    let kms = Kms::new(signed(moto.endpoint()).await);
    assert_eq!(kms.sign(&arn, b"message").await.unwrap().len(), 256);
    // SubjectPublicKeyInfo of an RSA key (RFC 5280, section 4.1): a sequence of 290 bytes.
    let public = kms.public_key(&arn).await.unwrap();
    assert_eq!((public.len(), &public[..4]), (294, &[0x30, 0x82, 0x01, 0x22][..]));
    let none = arn.replace(arn.rsplit('/').next().unwrap(), "00000000-0000-4000-8000-000000000000");
    let refused = kms.sign(&none, b"message").await.unwrap_err();
    assert!(matches!(&refused, KmsError::Refused { key, .. } if *key == none), "{refused}");
    drop(moto);
    let gone = kms.sign(&arn, b"message").await.unwrap_err();
    assert!(matches!(gone, KmsError::Service(_)), "{gone}");
}

#[tokio::test]
async fn polls_are_queued_in_batches_of_ten() {
    let moto = Moto::start().unwrap();
    let client = aws_sdk_sqs::Client::new(&config(moto.endpoint()).await);
    let url = client.create_queue().queue_name("poll").send().await.unwrap().queue_url.unwrap();
    let request = |n: u32| PollRequest { account: format!("a{n}").parse().unwrap(), run: Some("run-1".into()) };
    Sqs::new(signed(moto.endpoint()).await, &url).send((0..23).map(request).collect()).await.unwrap();
    let mut found = std::collections::BTreeSet::new();
    loop {
        let page = client.receive_message().queue_url(&url).max_number_of_messages(10).send().await.unwrap();
        let Some(messages) = page.messages.filter(|messages| !messages.is_empty()) else { break };
        for message in messages {
            let request: PollRequest = serde_json::from_str(message.body().unwrap()).unwrap();
            assert_eq!(request.run.as_deref(), Some("run-1"));
            assert!(found.insert(request.account.to_string()), "{} twice", request.account);
        }
    }
    assert_eq!(found.len(), 23);
}

#[tokio::test]
async fn a_queue_that_does_not_exist_is_an_error() {
    let moto = Moto::start().unwrap();
    let queue = Sqs::new(signed(moto.endpoint()).await, format!("{}/123456789012/none", moto.endpoint()));
    let polls = vec![PollRequest { account: "a".parse().unwrap(), run: None }];
    queue.send(polls).await.unwrap_err();
}

/// moto takes a value for a secret that waits for its deletion; AWS refuses, in the words that are scripted here.
#[tokio::test]
async fn a_secret_that_somebody_deleted_by_hand_is_restored_before_it_is_written() {
    const REFUSED: &str = r#"{"__type":"InvalidRequestException","Message":"You can't perform this operation on the secret because it was marked for deletion."}"#;
    const DONE: &str =
        r#"{"ARN":"arn","Name":"stack/grant/bounces","VersionId":"00000000-0000-0000-0000-000000000001"}"#;
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = asked.clone();
    let scripted = scripted_service(move |operation: &str| {
        let mut asked = log.lock().unwrap();
        asked.push(operation.to_owned());
        match asked.contains(&"RestoreSecret".to_owned()) {
            true => (200, DONE),
            false => (400, REFUSED),
        }
    });
    let config = aws_sdk_secretsmanager::config::Builder::from(&config("http://scripted.invalid").await);
    let client = aws_sdk_secretsmanager::Client::from_conf(config.http_client(scripted).build());
    let vault = SecretsManager::new(client, "stack");
    let name = Name::Grant("bounces".parse().unwrap());
    assert_eq!(vault.put(&name, Uuid::from_u128(1), &secret("one")).await.unwrap(), Put::Stored);
    assert_eq!(*asked.lock().unwrap(), ["PutSecretValue", "CreateSecret", "RestoreSecret", "PutSecretValue"]);
}

/// What a scripted service says to an operation: status and body.
type Answer = dyn Fn(&str) -> (u16, &'static str) + Send + Sync;

/// A service that answers each operation by `answer`.
fn scripted_service(answer: impl Fn(&str) -> (u16, &'static str) + Send + Sync + 'static) -> SharedHttpClient {
    #[derive(Clone)]
    struct Scripted(Arc<Answer>);
    impl std::fmt::Debug for Scripted {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("Scripted")
        }
    }
    impl HttpConnector for Scripted {
        fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
            let target = request.headers().get("x-amz-target").unwrap_or_default();
            let (status, body) = (self.0)(target.rsplit('.').next().unwrap_or_default());
            let status = http::StatusCode::from_u16(status).unwrap();
            HttpConnectorFuture::ready(Ok(HttpResponse::new(status.into(), SdkBody::from(body))))
        }
    }
    let scripted = Scripted(Arc::new(answer));
    http_client_fn(move |_, _| SharedHttpConnector::new(scripted.clone()))
}
