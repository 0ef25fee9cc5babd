//! One behaviour, whichever engine reads: the same 500 messages, through IMAP and POP3 at a real Dovecot, through a front
//! that makes it speak as Exchange does, and by Graph at the stand-in, in several orders, with arrivals and expunges in
//! between, give the same facts.

use crate::graph::with_crlf;
use jiff::SignedDuration;
use rebond::account::{Account, AccountId, AfterReading, Authentication, HealthState, Protocol, Since};
use rebond::cursor::{Pop3Position, Position};
use rebond::poll::Progress;
use rebond::report;
use rebond::table::{Cursor, Folder};
use rebond::vault::Name;
use rebond_standin::{ExchangeFront, FrontSettings};
use rebond_tests::dovecot::{Dovecot, PASSWORD, USERS};
use rebond_tests::mail::{bounce, bounce_of, letter};
use rebond_tests::process::workspace;
use rebond_tests::world::{MAILBOX, World};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::Instant;

const MESSAGES: usize = 500;

/// Everything that reads: a Dovecot, and the front before it.
struct Stage {
    dovecot: Dovecot,
    front: ExchangeFront,
    world: World,
    /// What Graph called each message, in the order of arrival: as UIDs count them, from one.
    ids: Mutex<Vec<String>>,
}

/// A way to a mailbox.
#[derive(Clone, Copy)]
struct Way {
    name: &'static str,
    protocol: Protocol,
    front: bool,
}

const WAYS: [Way; 5] = [
    Way { name: "imap", protocol: Protocol::Imap, front: false },
    Way { name: "pop3", protocol: Protocol::Pop3, front: false },
    Way { name: "exchange-imap", protocol: Protocol::Imap, front: true },
    Way { name: "exchange-pop3", protocol: Protocol::Pop3, front: true },
    Way { name: "graph", protocol: Protocol::Graph, front: false },
];

impl Stage {
    async fn start() -> Self {
        let dovecot = Dovecot::start().await.unwrap();
        let front = ExchangeFront::start(FrontSettings::new(dovecot.imap, dovecot.pop3)).await.unwrap();
        let world = World::start_trusting(&format!("{}{}", dovecot.ca_pem, front.ca_pem())).await.unwrap();
        Self { dovecot, front, world, ids: Mutex::default() }
    }

    async fn add(&self, way: Way, user: &str, change: impl FnOnce(&mut Account)) -> AccountId {
        let port = match (way.protocol, way.front) {
            (Protocol::Imap, false) => self.dovecot.imaps,
            (Protocol::Imap, true) => self.front.imap_port(),
            (Protocol::Pop3, false) => self.dovecot.pop3s,
            (Protocol::Pop3, true) => self.front.pop3_port(),
            (Protocol::Graph, _) => self.world.graph.port(),
        };
        let all = |account: &mut Account| {
            if way.protocol != Protocol::Graph {
                account.mailbox = user.into();
                account.authentication = Authentication::Password { user: user.into() };
            }
            account.protocol = way.protocol;
            account.server.port = port;
            account.since = Since::All;
            change(account);
            account.check().unwrap();
        };
        if way.protocol == Protocol::Graph {
            return self.world.add_connected(way.name, all).await.unwrap();
        }
        let id = self.world.add(way.name, all).await.unwrap();
        let name = Name::Password(id.clone());
        self.world.machine.vault.put(&name, uuid::Uuid::nil(), &PASSWORD.to_owned().into()).await.unwrap();
        id
    }

    /// Polls until nothing is left; the answer is how many messages were read in how many runs.
    async fn poll(&self, id: &AccountId, progress: &dyn Progress) -> (u64, u64) {
        let (mut messages, mut runs) = (0, 0);
        loop {
            let deadline = Instant::now() + Duration::from_secs(200);
            let summary = self.world.machine.poller().poll(id, "test", deadline, progress).await.unwrap();
            let health = summary.health.as_ref().unwrap();
            assert_eq!(health.state, HealthState::Active, "{id}: {summary:?}\n{}", self.dovecot.log());
            (messages, runs) = (messages + summary.messages, runs + 1);
            if summary.left == 0 {
                return (messages, runs);
            }
        }
    }

    fn deliver(&self, way: Way, user: &str, mail: &[Vec<u8>]) {
        match way.protocol {
            Protocol::Graph => {
                let graph = self.world.graph.mail();
                let deliver = |bytes: &Vec<u8>| graph.deliver(MAILBOX, "Inbox", with_crlf(bytes), self.world.now());
                self.ids.lock().unwrap().extend(mail.iter().map(deliver));
            }
            _ => drop(self.dovecot.deliver(user, mail).unwrap()),
        }
    }

    /// Another client of the mailbox removes messages, by the order of their arrival.
    fn expunge(&self, way: Way, user: &str, first: usize, last: usize) {
        match way.protocol {
            Protocol::Graph => {
                for id in &self.ids.lock().unwrap()[first - 1..last] {
                    assert!(self.world.graph.mail().remove(MAILBOX, id));
                }
            }
            _ => {
                let uids = format!("{first}:{last}");
                self.dovecot.doveadm(&["expunge", "-u", user, "mailbox", "INBOX", "uid", &uids]).unwrap();
            }
        }
    }

    fn make_folder(&self, way: Way, user: &str, name: &str) {
        match way.protocol {
            Protocol::Graph => self.world.graph.mail().make_folder(MAILBOX, name),
            _ => drop(self.dovecot.doveadm(&["mailbox", "create", "-u", user, name]).unwrap()),
        }
    }

    fn count(&self, way: Way, user: &str, folder: &str, what: &str) -> usize {
        if way.protocol == Protocol::Graph {
            let folder = if folder == "INBOX" { "Inbox" } else { folder };
            let messages = self.world.graph.mail().messages(MAILBOX, folder);
            return messages.iter().filter(|(_, seen)| what == "ALL" || *seen).count();
        }
        self.dovecot.doveadm(&["search", "-u", user, "mailbox", folder, what]).unwrap().lines().count()
    }

    /// All facts: what a message says, by its key.
    async fn facts(&self, id: &AccountId) -> BTreeMap<String, serde_json::Value> {
        let facts = self.world.facts(id).await.unwrap();
        let count = facts.len();
        let said: BTreeMap<_, _> =
            facts.into_iter().map(|fact| (fact.key.clone(), serde_json::to_value(&fact.report).unwrap())).collect();
        assert_eq!(said.len(), count, "each once");
        said
    }
}

/// Real forms of every kind, bounces of one and of many, and mail of people.
pub(super) fn messages() -> Vec<Vec<u8>> {
    let folder = workspace().join("tests/fixtures/report");
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "eml"));
    paths.sort();
    let mut all: Vec<Vec<u8>> = paths.iter().map(|path| std::fs::read(path).unwrap()).collect();
    assert!(all.len() > 50, "{} messages of every kind", all.len());
    // Lines that a server must stuff, and ends that it must not take for its own.
    all.push(b"Message-ID: <dots@example.com>\r\nSubject: dots\r\n\r\n.\r\n..\r\n.a\r\n\r\n...\r\nend\r\n.".to_vec());
    all.push(b"Message-ID: <empty@example.com>\r\nSubject: empty\r\n\r\n".to_vec());
    all.push(b"Message-ID: <header@example.com>\r\nSubject: no body".to_vec());
    all.extend((0..20).map(|n| bounce_of(10_000 + n, &[format!("a{n}@example.net"), format!("b{n}@example.net")])));
    let letters = 100;
    all.extend((0..letters).map(letter));
    all.extend((0..MESSAGES - all.len()).map(bounce));
    assert_eq!(all.len(), MESSAGES);
    all
}

/// The same in another order: each time another one.
fn shuffled(messages: &[Vec<u8>], turn: usize) -> Vec<Vec<u8>> {
    let mut order: Vec<usize> = (0..messages.len()).collect();
    let mut state = 0x9e37_79b9_u64.wrapping_mul(turn as u64 + 1) | 1;
    for at in (1..order.len()).rev() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        order.swap(at, (state % (at as u64 + 1)) as usize);
    }
    order.into_iter().map(|at| messages[at].clone()).collect()
}

/// Another client removes what was read already, while a session stands open.
struct Expunge<'a>(&'a Stage, Way, &'static str, usize, usize);

impl Progress for Expunge<'_> {
    fn folder(&self, _: &str, _: u64) {
        self.0.expunge(self.1, self.2, self.3, self.4);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn conformance_the_same_messages_give_the_same_facts_by_every_way() {
    let stage = Stage::start().await;
    let messages = messages();
    let expected: BTreeMap<String, serde_json::Value> = messages
        .iter()
        .map(|message| (report::key(message), serde_json::to_value(report::read(message)).unwrap()))
        .collect();
    let mut by_way = vec![];
    for (turn, (way, user)) in WAYS.into_iter().zip(&USERS[1..]).enumerate() {
        let mail = shuffled(&messages, turn);
        stage.deliver(way, user, &mail[..200]);
        let limit = (turn % 2 == 1).then_some(60);
        let id = stage.add(way, user, |account| account.limits.session_messages = limit).await;
        let (read, runs) = stage.poll(&id, &()).await;
        assert_eq!((read, runs), (200, if limit.is_some() { 4 } else { 1 }), "{}", way.name);
        // Some of what was read goes, some of it while the next session is under way; more arrives.
        stage.expunge(way, user, 3, 40);
        stage.deliver(way, user, &mail[200..350]);
        assert_eq!(stage.poll(&id, &Expunge(&stage, way, user, 90, 130)).await.0, 150, "{}", way.name);
        assert_eq!(stage.poll(&id, &()).await.0, 0, "{}: nothing is read twice", way.name);
        stage.deliver(way, user, &mail[350..]);
        assert_eq!(stage.poll(&id, &()).await.0, 150, "{}", way.name);
        by_way.push((way, stage.facts(&id).await));
    }
    for (way, facts) in &by_way {
        let keys = |facts: &BTreeMap<String, _>| facts.keys().cloned().collect::<Vec<_>>();
        assert_eq!(keys(facts), keys(&expected), "{}", way.name);
        for (key, said) in facts {
            // Diagnostics may tell of line ends; what was said, and to whom it happened, may not differ.
            for part in ["kind", "recipients", "original", "feedback"] {
                assert_eq!(said[part], by_way[0].1[key][part], "{}: {part} of {key}", way.name);
            }
        }
    }
    assert_eq!(expected.len(), by_way[0].1.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn conformance_mail_is_left_marked_moved_deleted_as_each_protocol_can() {
    use AfterReading::{Delete, Leave, Move, Seen};
    let done = || Move("Done".to_owned());
    let cases = [(Leave, Leave), (Seen, Leave), (done(), Seen), (Delete, Leave), (Leave, Delete), (Delete, Delete)];
    for (reports, others) in cases {
        let stage = Stage::start().await;
        for (way, user) in WAYS.into_iter().zip(&USERS[1..]) {
            let mail: Vec<Vec<u8>> = (0..8).map(bounce).chain((0..4).map(letter)).collect();
            stage.deliver(way, user, &mail);
            stage.make_folder(way, user, "Done");
            let pop3 = way.protocol == Protocol::Pop3;
            let unable = pop3 && [&reports, &others].iter().any(|after| matches!(after, Seen | Move(_)));
            if unable {
                let mut account = stage.world.account("refused").unwrap();
                (account.protocol, account.reports, account.others) = (way.protocol, reports.clone(), others.clone());
                assert!(account.check().unwrap_err().0.starts_with("POP3 cannot"));
                continue;
            }
            let change = |account: &mut Account| {
                (account.reports, account.others) = (reports.clone(), others.clone());
            };
            let id = stage.add(way, user, change).await;
            assert_eq!(stage.poll(&id, &()).await.0, 12);
            let stays = |after: &AfterReading, all| if matches!(after, Leave | Seen) { all } else { 0 };
            let said = format!("{} after {reports:?}, {others:?}", way.name);
            assert_eq!(stage.count(way, user, "INBOX", "ALL"), stays(&reports, 8) + stays(&others, 4), "{said}");
            let moved = usize::from(reports == done()) * 8 + usize::from(others == done()) * 4;
            assert_eq!(stage.count(way, user, "Done", "ALL"), moved, "{said}");
            let seen = usize::from(reports == Seen) * 8 + usize::from(others == Seen) * 4;
            if !pop3 {
                // Over POP3 Dovecot marks what is retrieved by itself.
                assert_eq!(stage.count(way, user, "INBOX", "SEEN"), seen, "{said}");
            }
            assert_eq!(stage.poll(&id, &()).await.0, 0, "{said}");
            assert_eq!(stage.facts(&id).await.len(), 12, "{said}");
        }
    }
}

/// A run that is stopped for longer than its lease holds, behind so many messages.
struct Pause<'a>(&'a World, AtomicUsize);

impl Progress for Pause<'_> {
    fn recorded(&self, _: u64) {
        if self.1.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.0.advance(SignedDuration::from_mins(10));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f11_who_is_paused_beyond_the_lease_deletes_nothing_more() {
    let stage = Stage::start().await;
    for (way, user) in WAYS.into_iter().zip(&USERS[1..]) {
        let mail: Vec<Vec<u8>> = (0..40).map(bounce).collect();
        stage.deliver(way, user, &mail);
        let id = stage.add(way, user, |account| account.reports = AfterReading::Delete).await;
        let deadline = Instant::now() + Duration::from_secs(100);
        let pause = Pause(&stage.world, AtomicUsize::new(30));
        let summary = stage.world.machine.poller().poll(&id, "paused", deadline, &pause).await.unwrap();
        assert!(summary.busy, "{}: {summary:?}", way.name);
        // The first chunk was settled while it held the lease: of Graph, which tells no sizes, it is smaller, and over POP3
        // nothing is deleted before the farewell.
        let left = match way.protocol {
            Protocol::Imap => 15,
            Protocol::Graph => 24,
            Protocol::Pop3 => 40,
        };
        assert_eq!(stage.count(way, user, "INBOX", "ALL"), left, "{}", way.name);
        stage.poll(&id, &()).await;
        assert_eq!(stage.count(way, user, "INBOX", "ALL"), 0, "{}", way.name);
        assert_eq!(stage.facts(&id).await.len(), 40, "{}", way.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_poll_costs_five_exchanges_at_most_by_every_way() {
    let stage = Stage::start().await;
    for (way, user) in WAYS.into_iter().zip(&USERS[1..]) {
        stage.deliver(way, user, &[bounce(0), bounce(1)]);
        let id = stage.add(way, user, |_| {}).await;
        assert_eq!(stage.poll(&id, &()).await.0, 2);
        let summary = stage.world.poll(&id).await.unwrap();
        assert!((1..=5).contains(&summary.round_trips), "{}: {} exchanges", way.name, summary.round_trips);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pop3_memory_of_many_messages_is_written_in_pieces() {
    let world = World::start().await.unwrap();
    let id = world.add_basic("bounces", |_| {}).await.unwrap();
    let (table, inbox) = (&world.machine.table, Folder("INBOX".into()));
    let position = |count: u64| Position::Pop3(Pop3Position { since: 0, uidls: (0..count).collect() });
    let written = async |before: Option<u64>, count: u64, fence: u64| {
        let writes = world.faults.writes();
        let before = before.map(position);
        let cursor = Cursor::new(position(count), fence);
        assert!(table.move_cursor(&id, &inbox, before.as_ref(), &cursor).await.unwrap());
        assert_eq!(table.cursor(&id, &inbox).await.unwrap().unwrap(), cursor);
        world.faults.writes() - writes
    };
    assert_eq!(written(None, 0, 1).await, 1);
    assert_eq!(written(Some(0), 9_999, 1).await, 5, "four full pieces and the head");
    assert_eq!(written(Some(9_999), 10_001, 2).await, 2, "the fifth is full now");
    assert_eq!(written(Some(10_001), 10_050, 2).await, 1, "of what is old nothing is written again");
    assert_eq!(written(Some(10_050), 100, 3).await, 1);
    // Who had the lease before moves nothing, no piece either.
    let stale = Cursor::new(position(5_000), 2);
    assert!(!table.move_cursor(&id, &inbox, None, &stale).await.unwrap());
    let kept = table.cursor(&id, &inbox).await.unwrap().unwrap();
    assert_eq!(kept.position, position(100));
    world.machine.table.remove_mailbox(&id, false).await.unwrap();
    assert!(table.cursor(&id, &inbox).await.unwrap().is_none());
}
