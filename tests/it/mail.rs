//! Notices and the mail that they are sent as, against a mail server of its own process.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use chrono::TimeDelta;
use diesel::connection::SimpleConnection as _;
use endcheck_server::accounts::Role;
use endcheck_server::app::App;
use endcheck_server::{jobs, outbox};
use endcheck_tests::{Http, workspace_root};
use serde_json::{Value, json};

use crate::office::{Office, Person, add_user, text};
use crate::python::python;

const SHIPMENT: &str = "SH-2026-0101";

/// A mail server, and what it took.
struct Sink {
    process: Child,
    lines: mpsc::Receiver<Value>,
    port: u64,
    _stdin: ChildStdin,
}

impl Sink {
    /// Nothing where its package cannot be installed.
    fn start() -> Option<Self> {
        let mut process = Command::new(python()?)
            .arg("-u")
            .arg(workspace_root().join("tests/mail_sink/sink.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (stdin, stdout) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(serde_json::from_str(&line).unwrap()).is_err() {
                    break;
                }
            }
        });
        let first = lines.recv_timeout(Duration::from_secs(60)).expect("the mail server starts");
        Some(Self { process, lines, port: first["port"].as_u64().unwrap(), _stdin: stdin })
    }

    /// All mails that came until now.
    fn mails(&self) -> Vec<Value> {
        let mut mails = Vec::new();
        while let Ok(mail) = self.lines.recv_timeout(Duration::from_millis(300)) {
            mails.push(mail);
        }
        mails
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn office_with(sink: &Sink) -> (Office, Http) {
    let smtp = format!("smtp://127.0.0.1:{}", sink.port);
    let office = Office::open_with(|config| {
        config.smtp = Some(smtp);
        config.mail_from = Some("Endcheck <endcheck@authority.example>".to_owned());
    });
    office.import_programme();
    let mut conn = office.server.app().connection().unwrap();
    let root = add_user(&mut conn, "root", "Root Admin", &[Role::Admin], office.server.clock().now());
    drop(conn);
    let root = office.as_person(&root);
    (office, root)
}

fn set_mail(root: &Http, person: &Person, mail: &str) {
    let path = format!("/api/v1/users/{}/mail", person.id);
    let body = json!({ "mail": mail }).to_string();
    let set = root.send("PUT", &path, &[("Content-Type", "application/json")], Some(body.as_bytes()));
    assert_eq!(set.expect_json(200)["mail"], mail);
}

fn remind(app: &Arc<App>) {
    let job = jobs::find("reminders").unwrap();
    actix_web::rt::System::new().block_on(jobs::attend(app, job)).unwrap();
}

/// Sends all that is due.
fn deliver(app: &Arc<App>) {
    actix_web::rt::System::new()
        .block_on(async { while outbox::deliver_one(app, app.mailer.as_ref().unwrap()).await.unwrap() {} });
}

fn notices(office: &Office, person: &Person) -> Vec<Value> {
    office.as_person(person).get("/api/v1/notices").expect_json(200)["items"].as_array().unwrap().clone()
}

fn outbox_of(office: &Office) -> Value {
    office.manager().get("/api/v1/outbox").expect_json(200)
}

#[test]
fn an_inspector_is_reminded_once_by_mail_and_a_copy_has_the_same_message_id() {
    let Some(sink) = Sink::start() else { return };
    let (office, root) = office_with(&sink);
    set_mail(&root, &office.iris, "iris@authority.example");
    let visit = office.schedule(SHIPMENT, Some(&office.iris));
    office.schedule(SHIPMENT, None);
    let app = office.server.app();
    remind(app);
    // From one minute to the next the same job finds nothing new.
    office.server.clock().advance(TimeDelta::minutes(1));
    remind(app);
    office.server.clock().advance(TimeDelta::minutes(1));
    remind(app);
    let told = notices(&office, &office.iris);
    assert_eq!(told.len(), 1, "{told:#?}");
    assert_eq!((&told[0]["kind"], &told[0]["visit"]), (&json!("visit-window"), &json!(visit)));
    assert_eq!(notices(&office, &office.tomas), Vec::<Value>::new());

    // Two workers at once.
    let workers: Vec<_> = (0..4)
        .map(|_| {
            let app = Arc::clone(app);
            std::thread::spawn(move || deliver(&app))
        })
        .collect();
    for worker in workers {
        worker.join().unwrap();
    }
    let mails = sink.mails();
    assert_eq!(mails.len(), 1, "{mails:#?}");
    assert_eq!(mails[0]["to"], json!(["iris@authority.example"]));
    assert!(text(&mails[0], "/body").contains(&visit), "{mails:#?}");
    assert_eq!((&outbox_of(&office)["waiting"], &outbox_of(&office)["sent"]), (&json!(0), &json!(1)));

    // A server that died before it noted what it sent.
    let mut conn = app.connection().unwrap();
    conn.batch_execute("update outbox set done_at = null").unwrap();
    drop(conn);
    deliver(app);
    let copies = sink.mails();
    assert_eq!(copies.len(), 1);
    for same in ["message_id", "date", "body"] {
        assert_eq!(copies[0][same], mails[0][same]);
    }

    // Then the check falls due.
    office.server.clock().advance(TimeDelta::days(5));
    remind(app);
    let told = notices(&office, &office.iris);
    assert_eq!(told.len(), 2, "{told:#?}");
    assert_eq!(told[0]["kind"], "visit-due");
}

#[test]
fn a_letter_that_cannot_be_delivered_now_waits_and_one_that_never_can_is_told() {
    let Some(sink) = Sink::start() else { return };
    let (office, root) = office_with(&sink);
    set_mail(&root, &office.iris, "later@authority.example");
    set_mail(&root, &office.tomas, "nobody@authority.example");
    for person in [&office.iris, &office.tomas] {
        office.schedule(SHIPMENT, Some(person));
    }
    let app = office.server.app();
    remind(app);
    office.server.clock().advance(TimeDelta::minutes(1));
    remind(app);
    deliver(app);
    assert_eq!(sink.mails(), Vec::<Value>::new());
    let stands = outbox_of(&office);
    assert_eq!((&stands["waiting"], &stands["dead_count"]), (&json!(1), &json!(1)), "{stands:#}");
    assert_eq!(text(&stands, "/dead/0/to"), "nobody@authority.example");
    assert!(text(&stands, "/dead/0/error").contains("no such mailbox"), "{stands:#}");
    deliver(app);
    assert_eq!(sink.mails().len(), 0, "the next try comes later");
    office.server.clock().advance(TimeDelta::seconds(31));
    deliver(app);
    assert_eq!(sink.mails().len(), 1);
    assert_eq!(outbox_of(&office)["waiting"], 0);

    // Somebody may have it tried again; a retry of what waits or was sent is refused.
    let dead = text(&stands, "/dead/0/id");
    let retry = |http: &Http, id: &str| http.post(&format!("/api/v1/outbox/{id}/retry"), &json!({}));
    retry(&office.investigator(), &dead).expect_problem(403, "not-permitted");
    retry(&office.manager(), "no-letter").expect_problem(404, "not-found");
    let again = retry(&office.manager(), &dead).expect_json(200);
    assert_eq!((&again["waiting"], &again["dead_count"]), (&json!(1), &json!(0)), "{again:#}");
    retry(&office.manager(), &dead).expect_problem(409, "not-dead");
    deliver(app);
    let stands = outbox_of(&office);
    assert_eq!((&stands["dead_count"], &stands["dead"][0]["attempts"]), (&json!(1), &json!(2)), "{stands:#}");

    // Nobody but an administrator says where a person is written to.
    let path = format!("/api/v1/users/{}/mail", office.iris.id);
    let put = |http: &Http, body: &str| {
        http.send("PUT", &path, &[("Content-Type", "application/json")], Some(body.as_bytes()))
    };
    put(&office.manager(), r#"{"mail":"x@y.example"}"#).expect_problem(403, "not-permitted");
    put(&root, r#"{"mail":"not an address"}"#).expect_problem(422, "invalid-fields");
}

/// A refusal of anything but the recipient is somebody's to put right: the letter waits for that.
#[test]
fn a_letter_that_was_refused_for_another_reason_than_its_recipient_is_tried_again() {
    let Some(sink) = Sink::start() else { return };
    let (office, root) = office_with(&sink);
    set_mail(&root, &office.iris, "relay@authority.example");
    office.schedule(SHIPMENT, Some(&office.iris));
    let app = office.server.app();
    remind(app);
    office.server.clock().advance(TimeDelta::minutes(1));
    remind(app);
    deliver(app);
    let stands = outbox_of(&office);
    assert_eq!((&stands["waiting"], &stands["dead_count"]), (&json!(1), &json!(0)), "{stands:#}");
    office.server.clock().advance(TimeDelta::seconds(31));
    deliver(app);
    assert_eq!(sink.mails().len(), 1);
}
