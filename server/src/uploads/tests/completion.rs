//! Where complete uploads go, and when they go away.

use super::*;

fn upload(server: &TestServer, content: &[u8]) -> String {
    let size = content.len().to_string();
    let answer = server.send("POST", "/api/v1/files", &[CHUNK, ("Upload-Length", &size)], content);
    assert_eq!(answer.status, 201, "{}", answer.body);
    answer.header("location").unwrap().to_owned()
}

#[test]
fn what_is_wanted_goes_at_once_and_the_rest_waits() {
    let folder = tempfile::tempdir().unwrap();
    let server = TestServer::start(folder.path());
    server.wanted.lock().unwrap().insert(Sha256::of(b"wanted"));
    let wanted = upload(&server, b"wanted");
    assert_eq!((server.rows(), server.given.lock().unwrap().as_slice()), (0, &[b"wanted".to_vec()][..]));
    assert_eq!(server.offset(&wanted), Some(6), "HEAD still says that all is here");

    let waiting = upload(&server, b"waiting");
    let found = server.found(b"waiting").unwrap();
    assert_eq!((found.owner.clone(), found.size_bytes), (format!("device:{ALICE}"), 7));
    assert_eq!(std::fs::read(&found.path).unwrap(), b"waiting");
    let mut conn = server.uploads.setup.pool.get().unwrap();
    server.uploads.release(&mut conn, &found.id).unwrap();
    server.uploads.discard_bytes(&found).unwrap();
    assert_eq!((server.rows(), found.path.exists(), server.offset(&waiting)), (0, false, Some(7)));
    assert_eq!(server.wait(server.uploads.sweep()).unwrap(), 0);
}

#[test]
fn what_comes_to_be_wanted_is_found_by_the_sweep() {
    let folder = tempfile::tempdir().unwrap();
    let server = TestServer::start(folder.path());
    upload(&server, b"later");
    assert_eq!(server.wait(server.uploads.sweep()).unwrap(), 0);
    server.wanted.lock().unwrap().insert(Sha256::of(b"later"));
    assert_eq!(server.wait(server.uploads.sweep()).unwrap(), 1);
    assert_eq!(server.wait(server.uploads.sweep()).unwrap(), 0, "once");
    assert_eq!((server.rows(), server.given.lock().unwrap().len()), (0, 1));
}

#[test]
fn a_crash_after_the_last_byte_is_made_good() {
    for by_client in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let server = TestServer::start(folder.path());
        let path = server.create(&[("Upload-Length", "9"), ("Upload-Metadata", &named(b"abcdefghi"))]);
        assert_eq!(server.patch(&path, 0, b"abc").status, 204);
        std::fs::write(server.staged(&path), b"abcdefghi").unwrap();
        if by_client {
            assert_eq!(server.offset(&path), Some(9));
        } else {
            server.wait(server.uploads.sweep()).unwrap();
        }
        assert_eq!(std::fs::read(server.found(b"abcdefghi").unwrap().path).unwrap(), b"abcdefghi");
    }
}

#[test]
fn bytes_that_are_not_those_named_are_refused_for_good() {
    let folder = tempfile::tempdir().unwrap();
    let server = TestServer::start(folder.path());
    let path = server.create(&[("Upload-Length", "5"), ("Upload-Metadata", &named(b"other"))]);
    let answer = server.patch(&path, 0, b"bytes");
    assert_eq!((answer.status, answer.code().as_str()), (422, "content-differs"));
    assert_eq!(server.send("HEAD", &path, &[], b"").status, 404);
    assert_eq!((server.rows(), server.uploads.staging.all().unwrap().len()), (0, 0));
}

#[test]
fn uploads_expire_when_nobody_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let server = TestServer::start(folder.path());
    let open = server.create(&[("Upload-Length", "5"), ("Upload-Metadata", &named(b"abcde"))]);
    let done = upload(&server, b"done");
    server.clock.advance(TimeDelta::hours(23));
    assert_eq!(server.patch(&open, 0, b"ab").status, 204);
    server.clock.advance(TimeDelta::hours(2));
    assert_eq!(server.offset(&open), Some(2), "going on put it off");
    assert_eq!(server.send("HEAD", &done, &[], b"").status, 410);
    assert_eq!(server.wait(server.uploads.expire(server.clock.now())).unwrap(), 1);
    assert_eq!((server.send("HEAD", &done, &[], b"").status, server.rows()), (404, 0));
    server.clock.advance(TimeDelta::hours(24));
    assert!(server.uploads.open_of(&format!("device:{ALICE}")).unwrap().is_empty());
    assert_eq!(server.patch(&open, 2, b"cde").status, 410);
    assert_eq!(server.wait(server.uploads.expire(server.clock.now())).unwrap(), 1);
    assert!(server.uploads.staging.all().unwrap().is_empty());
}
