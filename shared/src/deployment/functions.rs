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
