//! What a person sees: sign-in, second factor, consent, approval needed, and the provider's own error page. Plain forms that work
//! without scripts; every page says that this is a stand-in.

use axum::response::{Html, IntoResponse as _, Response};
use http::{HeaderValue, StatusCode, header};
use jiff::Timestamp;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::fault::Fault;
use super::scope::Asked;
use super::settings::{App, User};

const STYLE: &str = "
:root{color-scheme:light dark;--ink:#1b1b1f;--soft:#5b5b66;--line:#c9c9d2;--paper:#fff;--back:#eef0f4;--act:#1f5fbf}
@media(prefers-color-scheme:dark){:root{--ink:#ececf1;--soft:#a9a9b6;--line:#4a4a56;--paper:#1f1f26;--back:#141419;--act:#3d7fe0}}
*{box-sizing:border-box}body{margin:0;background:var(--back);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
main{max-width:27rem;margin:8vh auto 2rem;padding:2rem;background:var(--paper);border:1px solid var(--line);border-radius:.5rem}
.who{margin:0 0 1.25rem;padding:.4rem .7rem;border:1px dashed var(--line);border-radius:.3rem;color:var(--soft);font-size:.85rem}
h1{font-size:1.4rem;line-height:1.25;margin:0 0 1rem}p{margin:.5rem 0}
label{display:block;margin:1rem 0 .25rem;font-weight:600}
input[type=email],input[type=text],input[type=password]{width:100%;padding:.55rem .6rem;font:inherit;color:inherit;background:transparent;border:1px solid var(--soft);border-radius:.25rem}
.buttons{display:flex;gap:.75rem;justify-content:flex-end;margin-top:1.5rem}
button,.button{font:inherit;padding:.5rem 1.25rem;border-radius:.25rem;border:1px solid var(--soft);background:transparent;color:inherit;cursor:pointer;text-decoration:none}
button.main{background:var(--act);border-color:var(--act);color:#fff}
:focus-visible{outline:3px solid var(--act);outline-offset:2px}
.wrong{color:#b3261e;font-weight:600}@media(prefers-color-scheme:dark){.wrong{color:#ff8a80}}
li{margin:.5rem 0}main{overflow-wrap:anywhere}code{font-size:.85rem;color:var(--soft)}ul{padding-left:1.25rem}
.choice{display:flex;gap:.6rem;align-items:baseline;margin-top:1rem}.choice label{margin:0;font-weight:400}
.hint{color:var(--soft);font-size:.9rem}dl{font-size:.85rem;color:var(--soft)}dt{font-weight:600}dd{margin:0 0 .5rem}
";

fn page(status: StatusCode, title: &str, body: Markup) -> Response {
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " · Stand-in identity provider (not Microsoft)" }
                style { (PreEscaped(STYLE)) }
            }
            body { main {
                p.who { "Stand-in identity provider (not Microsoft)" }
                h1 { (title) }
                (body)
            } }
        }
    };
    let mut response = (status, Html(markup.into_string())).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'";
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

/// The sign-in form. `action` carries the authorize request on.
pub(crate) fn sign_in(app: &App, action: &str, login: &str, wrong: Option<&Fault>, hint: &str) -> Response {
    let focus_password = !login.is_empty();
    page(
        StatusCode::OK,
        "Sign in",
        html! {
            p { "to continue to " strong { (app.name) } }
            @if let Some(wrong) = wrong { p.wrong role="alert" { (wrong.sentence()) } }
            form method="post" action=(action) {
                label for="login" { "E-mail address" }
                input #login name="login" type="email" autocomplete="username" required autofocus[!focus_password] value=(login);
                label for="passwd" { "Password" }
                input #passwd name="passwd" type="password" autocomplete="current-password" required autofocus[focus_password];
                div.buttons { button.main type="submit" { "Sign in" } }
            }
            @if !hint.is_empty() { p.hint { (hint) } }
        },
    )
}

/// The second factor: here the person just says that they approve.
pub(crate) fn second_factor(user: &User, action: &str) -> Response {
    page(
        StatusCode::OK,
        "Approve sign-in request",
        html! {
            p { "Signing in as " strong { (user.upn) } ". A real provider would ask your phone now." }
            form method="post" action=(action) {
                div.buttons {
                    button.main type="submit" name="factor" value="approve" { "Approve" }
                }
            }
        },
    )
}

/// The consent form: the permissions in words and by name.
pub(crate) fn consent(app: &App, user: &User, asked: &Asked, action: &str) -> Response {
    page(
        StatusCode::OK,
        "Permissions requested",
        html! {
            p { strong { (app.name) } " would like to act for " strong { (user.upn) } ":" }
            ul {
                @for (audience, name) in &asked.permissions {
                    li { (meaning(name)) br; code { (audience) "/" (name) } }
                }
                @if asked.offline { li { "Maintain access to data you have given it access to" br; code { "offline_access" } } }
                @if asked.openid { li { "Sign you in and read your basic profile" br; code { "openid" @if asked.profile { " profile" } @if asked.email { " email" } } } }
            }
            form method="post" action=(action) {
                @if user.admin {
                    div.choice {
                        input #whole type="checkbox" name="whole" value="yes";
                        label for="whole" { "Consent on behalf of your organisation" }
                    }
                }
                div.buttons {
                    button type="submit" name="decision" value="cancel" { "Cancel" }
                    button.main type="submit" name="decision" value="accept" { "Accept" }
                }
            }
        },
    )
}

/// The form of admin consent: for everybody in the directory.
pub(crate) fn consent_whole(app: &App, user: &User, asked: &Asked, action: &str) -> Response {
    page(
        StatusCode::OK,
        "Permissions requested for your organisation",
        html! {
            p { "If you accept, " strong { (app.name) } " gets these permissions for everybody in your organisation:" }
            ul {
                @for (audience, name) in &asked.permissions { li { (meaning(name)) br; code { (audience) "/" (name) } } }
                @for role in &app.roles { li { "Without a signed-in person" br; code { (role) } } }
            }
            p { "Signed in as " strong { (user.upn) } "." }
            form method="post" action=(action) {
                div.buttons {
                    button type="submit" name="decision" value="cancel" { "Cancel" }
                    button.main type="submit" name="decision" value="accept" { "Accept" }
                }
            }
        },
    )
}

/// Where the code of a device is typed.
pub(crate) fn device_code(wrong: Option<&str>) -> Response {
    page(
        StatusCode::OK,
        "Enter code",
        html! {
            p { "Enter the code that your device or app shows. Do not enter codes from sources you do not trust." }
            @if let Some(wrong) = wrong { p.wrong role="alert" { (wrong) } }
            form method="post" action="/devicelogin" {
                label for="otc" { "Code" }
                input #otc name="otc" type="text" autocomplete="off" required autofocus;
                div.buttons { button.main type="submit" { "Next" } }
            }
        },
    )
}

/// The end of a flow that goes back to no app.
pub(crate) fn done(title: &str, text: &str) -> Response {
    page(StatusCode::OK, title, html! { p { (text) } })
}

/// "Need admin approval": the person may only go back.
pub(crate) fn approval(app: &App, user: &User, fault: &Fault, back: &str) -> Response {
    page(
        StatusCode::OK,
        "Need admin approval",
        html! {
            p { strong { (app.name) } " needs permission to access resources in your organisation that only an administrator can grant. Ask an administrator to grant permission to this app before you can use it." }
            p { "Signed in as " strong { (user.upn) } "." }
            p { code { (fault.sentence()) } }
            div.buttons { a.button href=(back) { "Return to the application without granting consent" } }
        },
    )
}

/// The provider's own error page: for what must not be redirected.
pub(crate) fn trouble(fault: &Fault, now: Timestamp) -> Response {
    let description = fault.description(now);
    let mut lines = description.split("\r\n");
    let sentence = lines.next().unwrap_or_default().to_owned();
    page(
        StatusCode::BAD_REQUEST,
        "Sorry, but we’re having trouble signing you in",
        html! {
            p.wrong role="alert" { (sentence) }
            dl { @for line in lines { @if let Some((name, value)) = line.split_once(": ") { dt { (name) } dd { (value) } } } }
        },
    )
}

fn meaning(name: &str) -> &'static str {
    match name {
        "IMAP.AccessAsUser.All" => "Read and write access to mailboxes via IMAP",
        "POP.AccessAsUser.All" => "Read and write access to mailboxes via POP",
        "SMTP.Send" => "Send emails from mailboxes using SMTP AUTH",
        "Mail.Read" | "Mail.Read.Shared" => "Read your mail",
        "Mail.ReadBasic" => "Read your basic mail",
        "Mail.ReadWrite" | "Mail.ReadWrite.Shared" => "Read and write access to your mail",
        "Mail.Send" | "Mail.Send.Shared" => "Send mail as you",
        "User.Read" => "View your basic profile",
        ".default" => "All permissions of its registration",
        _ => "Use this permission",
    }
}
