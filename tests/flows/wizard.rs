//! `rebond app add` and `rebond account add` as a person at a terminal meets them: a pseudo-terminal (util-linux `script`),
//! every question waited for, every answer typed.

use rebond_tests::process::built;
use rebond_tests::world::World;
use serde_json::Value;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

const SECRET: &str = "Typed~and-not-shown_0123456789";

struct Terminal {
    child: Child,
    keyboard: ChildStdin,
    screen: ChildStdout,
    seen: String,
    /// How much of it was waited for.
    read: usize,
}

impl Terminal {
    fn start(dir: &Path, command: &str) -> Self {
        let line = format!("{} {command}", built("rebond").unwrap().display());
        let mut script = Command::new("script");
        script.args(["-qec", &line, "/dev/null"]).env("REBOND_DIR", dir).env_remove("REBOND_KEY").env("TERM", "dumb");
        script.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut child = script.spawn().unwrap();
        let (keyboard, screen) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self { child, keyboard, screen, seen: String::new(), read: 0 }
    }

    /// Waits for a question, and answers it.
    async fn answer(&mut self, question: &str, answer: &str) {
        self.until(question).await;
        self.keyboard.write_all(format!("{answer}\n").as_bytes()).await.unwrap();
    }

    async fn until(&mut self, question: &str) {
        let mut buffer = [0; 4096];
        while !self.seen[self.read..].contains(question) {
            let reading = tokio::time::timeout(Duration::from_secs(20), self.screen.read(&mut buffer));
            let count = reading.await.unwrap_or_else(|_| panic!("no {question:?} in {}", self.seen)).unwrap();
            assert!(count > 0, "it ended without {question:?}: {}", self.seen);
            self.seen += &String::from_utf8_lossy(&buffer[..count]);
        }
        self.read += self.seen[self.read..].find(question).unwrap() + question.len();
    }

    /// The same for what is typed unseen. The question stands there before the terminal ceases to show what is typed, as
    /// with every program that asks so.
    async fn answer_unseen(&mut self, question: &str, answer: &str) {
        self.until(question).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        self.keyboard.write_all(format!("{answer}\n").as_bytes()).await.unwrap();
    }

    /// All that was on the screen.
    async fn end(mut self) -> (i32, String) {
        let mut rest = Vec::new();
        let reading = tokio::time::timeout(Duration::from_secs(20), self.screen.read_to_end(&mut rest));
        reading.await.unwrap_or_else(|_| panic!("it waits for more: {}", self.seen)).unwrap();
        self.seen += &String::from_utf8_lossy(&rest);
        let code = self.child.wait().await.unwrap().code().unwrap();
        (code, self.seen.replace('\r', ""))
    }
}

async fn json(dir: &Path, arguments: &[&str]) -> Value {
    let output = Command::new(built("rebond").unwrap()).args(arguments).env("REBOND_DIR", dir).output().await.unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)))
}

#[tokio::test]
async fn a_person_is_asked_what_cannot_be_known_and_told_what_to_register() {
    let world = World::start().await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    std::fs::copy(world.dir().join("rebond.toml"), dir.path().join("rebond.toml")).unwrap();
    let mut at = Terminal::start(dir.path(), "app add");
    at.answer("Where are the mailboxes?", "1").await;
    at.answer("A name for the app here (a-z, 0-9 and -) [m365]: ", "").await;
    at.answer("a verified domain: ", "nonsense").await;
    // What means nothing is said, and asked again.
    at.answer("is no tenant", "example.org").await;
    at.answer("Who opens them?", "9").await;
    at.answer("1 to 2", "").await;
    at.answer("Application (client) ID: ", &world.app.client_id).await;
    at.answer("How does the app prove itself?", "3").await;
    at.answer_unseen("Client secret (its Value): ", SECRET).await;
    let (code, screen) = at.end().await;
    assert_eq!(code, 0, "{screen}");
    for words in [
        "the app itself; nobody signs in (recommended",
        "platform     Web",
        &format!("\n    {}\n", world.app.redirect_uri),
        "Office 365 Exchange Online (00000002-0000-0ff1-ce00-000000000000), application",
        "IMAP.AccessAsApp       5e5addcd-3e8d-4e90-baf5-964efab2b20a",
        "do not tick  Access tokens, ID tokens",
        "Next: rebond account add NAME --mailbox ADDRESS --app m365 --app-only",
    ] {
        assert!(screen.contains(words), "{words}: {screen}");
    }
    assert!(!screen.contains(SECRET) && !screen.contains("IMAP.AccessAsUser.All "), "{screen}");
    assert_eq!(json(dir.path(), &["app", "list", "--json"]).await["client_id"], world.app.client_id.as_str());

    let mut at = Terminal::start(dir.path(), "account add");
    at.answer("A name for the mailbox here (a-z, 0-9 and -) [bounces]: ", "").await;
    at.answer("The mailbox's address: ", "bounces@example.org").await;
    at.answer("How is it opened?", "").await;
    let (code, screen) = at.end().await;
    assert_eq!(code, 0, "{screen}");
    assert!(screen.contains("1  by app m365 itself: nobody signs in (recommended"), "{screen}");
    let account = json(dir.path(), &["account", "show", "bounces", "--json"]).await;
    assert_eq!(account["settings"]["authentication"], serde_json::json!({ "kind": "oauth-app", "app": "m365" }));

    let mut at = Terminal::start(dir.path(), "account add old");
    at.answer("The mailbox's address: ", "old@example.org").await;
    at.answer("How is it opened?", "3").await;
    at.answer("The mail server (host, or host:port): ", "mail.example.org").await;
    at.answer_unseen("Password: ", SECRET).await;
    let (code, screen) = at.end().await;
    assert!(code == 0 && !screen.contains(SECRET), "{screen}");
    // Who leaves in the middle has stored nothing.
    let mut at = Terminal::start(dir.path(), "app add");
    at.answer("Where are the mailboxes?", "\u{4}").await;
    at.answer("Which", "\u{4}").await;
    drop(at);
    assert_eq!(json(dir.path(), &["app", "list", "--json"]).await["id"], "m365");
}
