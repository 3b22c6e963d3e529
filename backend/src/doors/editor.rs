//! `GET /sessions/{id}/instances/{name}/editor`: a node's files as a plain page, without script: a list of what is in the
//! home directory, and a form around the one that is open.

use axum::extract::{Form, Query};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::get;
use axum::{Router, extract::DefaultBodyLimit};
use drydock_agent::protocol::{EntryKind, Parents, TreeEntry, WriteRequest};
use http::Uri;
use serde::Deserialize;

use super::assets::escaped;
use super::files::{DEPTH, HOME, MODE, percent_encoded};
use super::found::OnInstance;
use super::origin::SameOrigin;
use super::refusal::Refusal;
use crate::state::AppState;

/// Bytes of a file that a text field bears.
const LARGEST: usize = 1024 * 1024;

pub fn router() -> Router<AppState> {
    Router::new()
        .route("/sessions/{session}/instances/{instance}/editor", get(show).post(save))
        // A form writes most bytes as three.
        .layer(DefaultBodyLimit::max(4 * LARGEST))
}

#[derive(Debug, Deserialize)]
struct Opened {
    #[serde(default)]
    path: String,
}

async fn show(
    OnInstance { instance, .. }: OnInstance,
    Query(opened): Query<Opened>,
) -> Result<Html<String>, Refusal> {
    let agent = instance.agent();
    let entries = agent.tree(HOME, DEPTH).await?;
    let form = match opened.path.as_str() {
        "" => "<p>Choose a file, or name a new one in the address: <code>?path=/root/new.txt</code></p>"
            .to_owned(),
        path => {
            let contents = match agent.read_file(path, LARGEST).await {
                Err(error) if error.is_not_found() => Vec::new(),
                other => other?,
            };
            let text = String::from_utf8(contents)
                .map_err(|_| Refusal::bad_request(format!("{path} is no text: download it instead")))?;
            form(path, &text)
        }
    };
    Ok(Html(page(&instance.record.hostname, &entries, &form)))
}

#[derive(Debug, Deserialize)]
struct Saved {
    path: String,
    text: String,
}

async fn save(
    _: SameOrigin,
    OnInstance { instance, .. }: OnInstance,
    uri: Uri,
    Form(saved): Form<Saved>,
) -> Result<Response, Refusal> {
    // A form's lines end as those of mail do.
    let text = saved.text.replace("\r\n", "\n");
    let request = WriteRequest { path: saved.path.clone(), mode: MODE, parents: Parents::Create };
    instance.agent().write_file(request, text.as_bytes()).await?;
    Ok(Redirect::to(&format!("{}?path={}", uri.path(), percent_encoded(&saved.path))).into_response())
}

fn page(hostname: &str, entries: &[TreeEntry], form: &str) -> String {
    let files = entries.iter().filter(|entry| entry.kind == EntryKind::File);
    let links: String = files
        .map(|entry| {
            let path = percent_encoded(&format!("{HOME}/{}", entry.path));
            format!("<li><a href=\"?path={path}\">{}</a></li>", escaped(&entry.path))
        })
        .collect();
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Files of {hostname}</title>\
         <meta name=\"color-scheme\" content=\"light dark\"><meta name=\"viewport\" content=\"width=device-width\">\
         </head><body><main><h1>Files of {hostname}</h1>{form}<nav aria-label=\"Files\"><ul>{links}</ul></nav>\
         </main></body></html>\n"
    )
}

fn form(path: &str, text: &str) -> String {
    let path = escaped(path);
    // The first line break after the tag is not the text's.
    format!(
        "<form method=\"post\"><p><label>File <input name=\"path\" size=\"60\" value=\"{path}\"></label> \
         <button>Save</button></p><p><textarea name=\"text\" rows=\"30\" cols=\"100\" aria-label=\"{path}\" \
         spellcheck=\"false\">\n{}</textarea></p></form>",
        escaped(text)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_file_says_is_no_markup() {
        let entry = TreeEntry { path: "<b>&\"x".to_owned(), kind: EntryKind::File, size: 0 };
        let page = page("node1", &[entry], &form("/root/\"><script>", "</textarea><script>"));
        assert!(!page.contains("<script>") && !page.contains("<b>"), "{page}");
        assert!(page.contains("href=\"?path=%2Froot%2F%3Cb%3E%26%22x\""), "{page}");
    }
}
