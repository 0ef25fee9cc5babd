//! Requests: who may, which resource, what comes of it.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::Response;
use futures::{StreamExt as _, stream};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use serde_json::{Value, json};

use super::fault::{self, GraphAction, GraphCall};
use super::store::{Folder, Mailbox, Message, Store, is_named};
use super::{GraphAdmission, GraphRight, Shared, delta, lock};
use crate::random;

/// Requests that Graph allows an app at once for one mailbox.
const AT_ONCE: usize = 4;

/// An error in Graph's form.
pub(super) struct Refused {
    status: StatusCode,
    code: String,
    words: String,
    retry_after: Option<u32>,
}

impl Refused {
    pub fn new(status: StatusCode, code: &str, words: &str) -> Refused {
        Refused { status, code: code.to_owned(), words: words.to_owned(), retry_after: None }
    }

    pub fn not_found() -> Refused {
        let words = "The specified object was not found in the store.";
        Refused::new(StatusCode::NOT_FOUND, "ErrorItemNotFound", words)
    }

    fn response(self) -> Response {
        let inner = json!({ "date": "2026-11-20T12:00:00", "request-id": random::guid() });
        let body = json!({ "error": { "code": self.code, "message": self.words, "innerError": inner } });
        let mut response = json_response(self.status, &body);
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Bearer realm=\"\", error=\"invalid_token\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

fn json_response(status: StatusCode, body: &Value) -> Response {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A request, taken apart.
struct Asked {
    method: Method,
    /// After `/v1.0/users/{mailbox}` or `/v1.0/me`.
    path: Vec<String>,
    options: Vec<(String, String)>,
    mailbox: String,
    immutable: bool,
    page: usize,
    body: Value,
}

impl Asked {
    fn call(&self) -> (GraphCall, GraphRight, &'static str) {
        let path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        match (&self.method, path.as_slice()) {
            (&Method::GET, [.., "messages", "delta"]) => (GraphCall::Delta, GraphRight::List, "GET delta"),
            (&Method::GET, [.., "$value"]) => (GraphCall::Value, GraphRight::Read, "GET $value"),
            (&Method::POST, [.., "move"]) => (GraphCall::Settle, GraphRight::Write, "POST move"),
            (&Method::PATCH, _) => (GraphCall::Settle, GraphRight::Write, "PATCH"),
            (&Method::DELETE, _) => (GraphCall::Settle, GraphRight::Write, "DELETE"),
            _ => (GraphCall::Folder, GraphRight::List, "GET folder"),
        }
    }
}

/// One of the requests under way.
struct UnderWay<'a>(&'a Shared);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        lock(&self.0.under_way).0 -= 1;
    }
}

pub(super) async fn answer(
    State(shared): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let (page, latency) = {
        let settings = lock(&shared.settings);
        (settings.page, settings.latency)
    };
    let asked = match read(method, &uri, &headers, &body, page) {
        Ok(asked) => asked,
        Err(refused) => return refused.response(),
    };
    let (call, right, name) = asked.call();
    lock(&shared.log).push(name.to_owned());
    let count = {
        let mut under_way = lock(&shared.under_way);
        under_way.0 += 1;
        under_way.1 = under_way.1.max(under_way.0);
        under_way.0
    };
    let _under_way = UnderWay(&shared);
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    let action = fault::next(&mut lock(&shared.script), call);
    match &action {
        Some(GraphAction::Refuse { status, code, retry_after }) => {
            let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            return Refused { retry_after: *retry_after, ..Refused::new(status, code, "As it was told to.") }
                .response();
        }
        Some(GraphAction::Body(body)) => return Response::new(Body::from(body.clone())),
        Some(GraphAction::Endless) => {
            let piece = Bytes::from(vec![b'x'; 16 << 10]);
            return Response::new(Body::from_stream(stream::repeat(piece).map(Ok::<_, std::io::Error>)));
        }
        Some(GraphAction::Stall) => {
            let first = stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"Fro"))]);
            return Response::new(Body::from_stream(first.chain(stream::pending())));
        }
        Some(GraphAction::Meanwhile(happens)) => happens(),
        _ => {}
    }
    if count > AT_ONCE {
        let words = "Application is over its MailboxConcurrency limit.";
        let refused = Refused::new(StatusCode::TOO_MANY_REQUESTS, "ApplicationThrottled", words);
        return Refused { retry_after: Some(10), ..refused }.response();
    }
    let asked = match admit(&shared, asked, &headers, right) {
        Ok(asked) => asked,
        Err(refused) => return refused.response(),
    };
    let done = carry_out(&shared, &asked, action.as_ref(), &uri);
    if matches!(action, Some(GraphAction::Unanswered)) {
        let broken = stream::iter([Err::<Bytes, _>(std::io::Error::other("as it was told to"))]);
        return Response::new(Body::from_stream(broken));
    }
    done.unwrap_or_else(Refused::response)
}

fn read(method: Method, uri: &Uri, headers: &HeaderMap, body: &[u8], most: usize) -> Result<Asked, Refused> {
    let bad = |words: &str| Refused::new(StatusCode::BAD_REQUEST, "BadRequest", words);
    let decoded = |part: &str| {
        // A plus in a path is a plus.
        let form = format!("x={}", part.replace('+', "%2B"));
        url::form_urlencoded::parse(form.as_bytes()).next().map(|(_, value)| value.into_owned()).unwrap_or_default()
    };
    let mut path: Vec<String> = uri.path().split('/').skip(1).map(decoded).collect();
    let version = path.first().is_some_and(|version| version == "v1.0");
    let mailbox = match path.get(1).map(String::as_str) {
        Some("me") if version => {
            path.drain(..2);
            String::new()
        }
        Some("users") if version && path.len() > 2 => path.drain(..3).next_back().unwrap_or_default(),
        _ => return Err(bad("Resource not found for the segment.")),
    };
    let query = uri.query().unwrap_or_default();
    let options =
        url::form_urlencoded::parse(query.as_bytes()).map(|(k, v)| (k.into_owned(), v.into_owned())).collect();
    let prefer: Vec<&str> = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok()).collect();
    let prefer = prefer.join(",");
    let wants = |wanted: &str| prefer.split(',').map(str::trim).any(|word| word == wanted);
    let page = prefer.split(',').find_map(|word| word.trim().strip_prefix("odata.maxpagesize=")?.parse().ok());
    Ok(Asked {
        method,
        path,
        options,
        mailbox,
        immutable: wants("IdType=\"ImmutableId\""),
        page: page.unwrap_or(10).clamp(1, most),
        body: serde_json::from_slice(body).unwrap_or(Value::Null),
    })
}

fn admit(shared: &Shared, asked: Asked, headers: &HeaderMap, right: GraphRight) -> Result<Asked, Refused> {
    let unauthorized = |words| Refused::new(StatusCode::UNAUTHORIZED, "InvalidAuthenticationToken", words);
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = bearer.and_then(|value| value.strip_prefix("Bearer "));
    let token = token.ok_or_else(|| unauthorized("Access token is empty."))?;
    let gate = Arc::clone(&lock(&shared.settings).gate);
    let mailbox = match gate(token, &asked.mailbox, right) {
        GraphAdmission::Refused(words) => return Err(unauthorized(words)),
        GraphAdmission::Denied => {
            let words = "Access is denied. Check credentials and try again.";
            return Err(Refused::new(StatusCode::FORBIDDEN, "ErrorAccessDenied", words));
        }
        GraphAdmission::NotFound => return Err(Refused::not_found()),
        GraphAdmission::Open => asked.mailbox.clone(),
        GraphAdmission::OpenOf(own) => own,
    };
    if lock(&shared.store).mailbox(&mailbox).is_none() {
        let words = format!("The requested user '{mailbox}' is invalid.");
        return Err(Refused::new(StatusCode::NOT_FOUND, "ErrorInvalidUser", &words));
    }
    Ok(Asked { mailbox, ..asked })
}

fn carry_out(shared: &Shared, asked: &Asked, action: Option<&GraphAction>, uri: &Uri) -> Result<Response, Refused> {
    let mut store = lock(&shared.store);
    let path: Vec<&str> = asked.path.iter().map(String::as_str).collect();
    match (asked.call().0, path.as_slice()) {
        (GraphCall::Delta, ["mailFolders", folder, "messages", "delta"]) => {
            let page = delta::page(&mut store, &asked.mailbox, folder, &asked.options, asked.page, asked.immutable)?;
            let (name, link) = match action {
                Some(GraphAction::Link(link)) => (page.name, link.clone()),
                Some(GraphAction::SamePage) => ("@odata.nextLink", format!("{}{uri}", shared.url)),
                _ => (page.name, format!("{}{}?{}", shared.url, uri.path(), page.query)),
            };
            Ok(json_response(
                StatusCode::OK,
                &json!({ "@odata.context": "$metadata", name: link, "value": page.items }),
            ))
        }
        (GraphCall::Folder, path) => {
            folders(found(&mut store, asked)?, path, &asked.options).map(|body| json_response(StatusCode::OK, &body))
        }
        (_, ["mailFolders", folder, "messages", id, rest @ ..]) => {
            message(found(&mut store, asked)?, Some(folder), id, rest, asked)
        }
        (_, ["messages", id, rest @ ..]) => message(found(&mut store, asked)?, None, id, rest, asked),
        _ => Err(Refused::not_found()),
    }
}

fn found<'a>(store: &'a mut Store, asked: &Asked) -> Result<&'a mut Mailbox, Refused> {
    store.mailbox(&asked.mailbox).ok_or_else(Refused::not_found)
}

fn folder_json(folder: &Folder) -> Value {
    json!({ "id": folder.id, "displayName": folder.name, "parentFolderId": folder.parent })
}

fn folders(mailbox: &Mailbox, path: &[&str], options: &[(String, String)]) -> Result<Value, Refused> {
    let parent = match path {
        ["mailFolders"] => None,
        ["mailFolders", id, "childFolders"] => Some(mailbox.folder(id).ok_or_else(Refused::not_found)?.id.clone()),
        ["mailFolders", id] => return mailbox.folder(id).map(folder_json).ok_or_else(Refused::not_found),
        _ => return Err(Refused::not_found()),
    };
    let filter = options.iter().find(|(name, _)| name == "$filter").map(|(_, value)| value.as_str());
    let name = filter.and_then(|filter| filter.strip_prefix("displayName eq '")?.strip_suffix('\''));
    let name = name.map(|name| name.replace("''", "'"));
    if filter.is_some() && name.is_none() {
        return Err(Refused::new(StatusCode::BAD_REQUEST, "ErrorInvalidUrlQueryFilter", "The filter is malformed."));
    }
    let matching =
        |folder: &&Folder| folder.parent == parent && name.as_ref().is_none_or(|name| is_named(folder, name));
    let found: Vec<Value> = mailbox.folders.iter().filter(matching).map(folder_json).collect();
    Ok(json!({ "value": found }))
}

fn message(
    mailbox: &mut Mailbox,
    folder: Option<&str>,
    id: &str,
    rest: &[&str],
    asked: &Asked,
) -> Result<Response, Refused> {
    let at = mailbox.find(id).ok_or_else(Refused::not_found)?;
    if let Some(folder) = folder {
        let folder = mailbox.folder(folder).ok_or_else(Refused::not_found)?;
        if mailbox.messages[at].folder != folder.id {
            return Err(Refused::not_found());
        }
    }
    let shown = |message: &Message| {
        let id = if asked.immutable { &message.immutable } else { &message.mutable };
        json!({ "id": id, "isRead": message.read, "parentFolderId": message.folder })
    };
    match (&asked.method, rest) {
        (&Method::GET, ["$value"]) => {
            // In pieces, and without its length.
            let pieces: Vec<_> = mailbox.messages[at].bytes.chunks(16 << 10).map(Bytes::copy_from_slice).collect();
            let pieces = stream::iter(pieces.into_iter().map(Ok::<_, std::io::Error>));
            let mut response = Response::new(Body::from_stream(pieces));
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
            Ok(response)
        }
        (&Method::POST, ["move"]) => {
            let to = asked.body["destinationId"].as_str().unwrap_or_default();
            let to = mailbox.folder(to).ok_or_else(Refused::not_found)?.id.clone();
            let at = mailbox.move_message(id, &to).ok_or_else(Refused::not_found)?;
            Ok(json_response(StatusCode::CREATED, &shown(&mailbox.messages[at])))
        }
        (&Method::PATCH, []) => {
            let read = asked.body["isRead"].as_bool();
            let read = read.ok_or_else(|| Refused::new(StatusCode::BAD_REQUEST, "BadRequest", "isRead alone"))?;
            let at = mailbox.mark(id, read).ok_or_else(Refused::not_found)?;
            Ok(json_response(StatusCode::OK, &shown(&mailbox.messages[at])))
        }
        (&Method::DELETE, []) => {
            mailbox.delete(id);
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NO_CONTENT;
            Ok(response)
        }
        _ => Err(Refused::not_found()),
    }
}
