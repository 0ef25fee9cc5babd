//! The functions of a stack, as an operator's command calls them (AWS Lambda API reference, Invoke and
//! GetFunctionConfiguration).

use super::Deployment;
use super::signed::{Answer, Request};
use crate::limits;
use serde_json::Value;
use std::time::Duration;

/// Time for what a function does; none of ours may take longer (`Timeout` in `template.yaml`).
const INVOKED: Duration = Duration::from_secs(300);

impl Deployment {
    /// Invokes a function of the stack and waits for its answer: what is shown is what *it* can reach. A sentence where it fails.
    pub async fn invoke(&self, function: &str, event: &Value) -> Result<Value, String> {
        let path = format!("2015-03-31/functions/{}/invocations", self.function(function));
        let answer = self.ask("POST", &path, event.to_string().into_bytes()).await?;
        if answer.headers.contains_key("x-amz-function-error") {
            let said: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
            return Err(said["errorMessage"].as_str().unwrap_or("it failed, and did not say why").to_owned());
        }
        understood(&answer)
    }

    /// What a function of the stack is configured with: `Role`, `Environment.Variables`, and the rest of
    /// FunctionConfiguration.
    pub async fn configuration(&self, function: &str) -> Result<Value, String> {
        let path = format!("2015-03-31/functions/{}/configuration", self.function(function));
        understood(&self.ask("GET", &path, vec![]).await?)
    }

    async fn ask(&self, method: &str, path: &str, body: Vec<u8>) -> Result<Answer, String> {
        let headers = [("content-type", "application/json".to_owned())];
        let request = Request {
            service: "lambda",
            host: "lambda",
            variable: "LAMBDA",
            region: None,
            method,
            path,
            headers: &headers,
            body,
        };
        let answer = self.signed.exchange_within(INVOKED, request, limits::FUNCTION_ANSWER_BYTES).await?;
        if (200..300).contains(&answer.status) {
            return Ok(answer);
        }
        // The services that speak REST say the kind of an error in a header, with more behind a colon.
        let kind = answer.headers.get("x-amzn-errortype").and_then(|kind| kind.to_str().ok()).unwrap_or("?");
        let said: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let words = said["Message"].as_str().or_else(|| said["message"].as_str()).unwrap_or("no message");
        Err(format!("HTTP {}, {}: {words}", answer.status, kind.split(':').next().unwrap_or(kind)))
    }
}

fn understood(answer: &Answer) -> Result<Value, String> {
    serde_json::from_slice(&answer.body).map_err(|_| "it answered with something else than expected".to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use aws_config::{BehaviorVersion, Region, SdkConfig};
    use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    /// A stack whose Lambda gives this answer, once, and the first line that it is asked.
    async fn stack(answer: &'static str) -> (Deployment, tokio::task::JoinHandle<String>) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 8 << 10];
            let read = stream.read(&mut request).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8_lossy(&request[..read]).lines().next().unwrap_or_default().to_owned()
        });
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static("eu-central-1"))
            .credentials_provider(SharedCredentialsProvider::new(Credentials::new("id", "key", None, None, "test")))
            .endpoint_url(url)
            .build();
        (Deployment::over(config, super::super::http::of_this_machine().unwrap(), "bounces".into()), asked)
    }

    #[tokio::test]
    async fn what_a_function_answers_is_told_from_its_failure_and_from_a_refusal() {
        let json = |text| serde_json::from_str::<Value>(text).unwrap();
        let (good, asked) = stack("HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n{\"left\": 3}").await;
        assert_eq!(good.invoke("bounce-poll", &json("{}")).await, Ok(json(r#"{"left": 3}"#)));
        let line = "POST /2015-03-31/functions/bounces-bounce-poll/invocations HTTP/1.1";
        assert_eq!(asked.await.unwrap(), line);
        let failed = "HTTP/1.1 200 OK\r\nX-Amz-Function-Error: Unhandled\r\nContent-Length: 25\r\n\r\n{\"errorMessage\":\"no box\"}";
        assert_eq!(stack(failed).await.0.invoke("bounce-poll", &json("{}")).await, Err("no box".to_owned()));
        let refused = "HTTP/1.1 404 Not Found\r\nx-amzn-ErrorType: ResourceNotFoundException:x\r\nContent-Length: 18\r\n\r\n{\"Message\":\"none\"}";
        let said = "HTTP 404, ResourceNotFoundException: none".to_owned();
        assert_eq!(stack(refused).await.0.configuration("bounce-poll").await, Err(said));
    }
}
