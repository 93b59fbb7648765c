//! The duties of a tus 1.0 server, a row each.

use super::*;

const FILES: &str = "/api/v1/files";

/// Headers and body of a request; status and problem code of its answer.
type Row<'a> = (&'a [(&'a str, &'a str)], &'a [u8], u16, &'a str);

#[test]
fn options_tells_what_is_offered_and_lets_browsers_in() {
    let folder = tempfile::tempdir().unwrap();
    let server = TestServer::start(folder.path());
    for version in ["-", "0.2.2"] {
        let answer =
            server.send("OPTIONS", FILES, &[("Tus-Resumable", version), ("Authorization", "-")], b"");
        assert_eq!(answer.status, 204);
        assert_eq!(answer.header("tus-version"), Some("1.0.0"));
        assert_eq!(
            answer.header("tus-extension"),
            Some("creation,creation-with-upload,creation-defer-length,checksum,expiration,termination")
        );
        assert_eq!(answer.header("tus-max-size"), Some("1000000"));
        assert_eq!(answer.header("tus-checksum-algorithm"), Some("sha1,sha256"));
        assert_eq!(answer.header("access-control-allow-origin"), None, "no page asked");
    }
    let page = [
        ("Origin", "https://desk.example"),
        ("Access-Control-Request-Method", "PATCH"),
        ("Authorization", "-"),
    ];
    let answer = server.send("OPTIONS", &format!("{FILES}/{ALICE}"), &page, b"");
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert!(answer.header("access-control-allow-methods").unwrap().contains("PATCH"));
    assert!(answer.header("access-control-allow-headers").unwrap().contains("Upload-Offset"));
    assert_eq!(answer.header("access-control-allow-credentials"), None);
    let refused = server.send("POST", FILES, &[("Origin", "https://desk.example")], b"");
    assert_eq!(refused.status, 400);
    assert!(refused.header("access-control-expose-headers").unwrap().contains("Upload-Offset"));
}

#[test]
fn only_tus_1_0_is_spoken_and_only_to_those_who_may() {
    let folder = tempfile::tempdir().unwrap();
    let server = TestServer::start(folder.path());
    let path = server.create(&[("Upload-Length", "5")]);
    let chunk = [CHUNK, ("Upload-Offset", "0")];
    for version in ["-", "0.2.2", "2"] {
        for (method, path) in [("POST", FILES), ("HEAD", &path), ("PATCH", &path), ("DELETE", &path)] {
            let headers = [&chunk[..], &[("Upload-Length", "5"), ("Tus-Resumable", version)]].concat();
            let answer = server.send(method, path, &headers, b"hello");
            assert_eq!(
                (answer.status, answer.header("tus-version")),
                (412, Some("1.0.0")),
                "{method} {version}"
            );
            assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        }
    }
    for (method, at) in [("HEAD", &path), ("PATCH", &path), ("DELETE", &path)] {
        let answer = server.send_as(BOB, method, at, &chunk, b"hello");
        assert_eq!((answer.status, answer.offset()), (404, None), "{method} of another's upload");
        assert_eq!(server.send_as("nobody", method, at, &chunk, b"hello").status, 401);
        assert_eq!(
            server.send(method, at, &[&chunk[..], &[("Auditor", "1")]].concat(), b"hello").status,
            403
        );
        let strange = server.send(method, &format!("{FILES}/..%2f..%2fdevice%253a{ALICE}"), &chunk, b"hello");
        assert_eq!((strange.status, strange.header("tus-resumable")), (404, Some("1.0.0")));
    }
    assert_eq!(server.send("GET", &path, &[], b"").status, 405);
    assert_eq!(server.send("PUT", FILES, &[], b"").header("allow"), Some("OPTIONS, POST"));
    assert_eq!(server.offset(&path), Some(0), "nothing of all this was processed");
}

#[test]
fn creation_reads_its_headers_strictly() {
    let folder = tempfile::tempdir().unwrap();
    let server = TestServer::start(folder.path());
    let length = ("Upload-Length", "5");
    let table: &[Row<'_>] = &[
        (&[length], b"", 201, ""),
        (&[length, ("Upload-Metadata", "")], b"", 201, ""),
        (&[length, ("Upload-Metadata", "name Zg==,flag")], b"", 201, ""),
        (&[("Upload-Defer-Length", "1")], b"", 201, ""),
        (&[("Upload-Length", "1000000")], b"", 201, ""),
        (&[length, CHUNK], b"he", 201, ""),
        (&[length, CHUNK], b"", 201, ""),
        (&[length, CHUNK, ("Upload-Checksum", "sha1 qvTGHdzF6KLavt4PO0gs2a6pQ00=")], b"hello", 201, ""),
        (&[], b"", 400, "length-missing"),
        (&[("Upload-Length", "five")], b"", 400, "malformed-header"),
        (&[("Upload-Length", "-5")], b"", 400, "malformed-header"),
        (&[length, length], b"", 400, "malformed-header"),
        (&[("Upload-Defer-Length", "2")], b"", 400, "malformed-header"),
        (&[length, ("Upload-Defer-Length", "1")], b"", 400, "length-twice"),
        (&[length, ("Upload-Metadata", "name Zg==,name Zg==")], b"", 400, "malformed-metadata"),
        (&[length, ("Upload-Metadata", "name ?")], b"", 400, "malformed-metadata"),
        (&[length, ("Upload-Metadata", "sealed_sha256 Zg==")], b"", 400, "malformed-metadata"),
        (&[length, ("Upload-Concat", "partial")], b"", 400, "concatenation-not-offered"),
        (&[length, CHUNK, ("Upload-Checksum", "md5 Zg==")], b"he", 400, "unknown-checksum-algorithm"),
        (&[("Upload-Length", "1000001")], b"", 413, "upload-too-large"),
        (&[length, CHUNK], b"hello!", 413, "upload-too-large"),
        (&[length, ("Content-Type", "text/plain")], b"hello", 415, "not-a-chunk"),
        (
            &[length, CHUNK, ("Upload-Checksum", "sha1 qvTGHdzF6KLavt4PO0gs2a6pQ00=")],
            b"hellO",
            460,
            "checksum-mismatch",
        ),
    ];
    for (headers, body, status, code) in table {
        let before = server.uploads.staging.all().unwrap().len();
        let answer = server.send("POST", FILES, headers, body);
        assert_eq!((answer.status, answer.code().as_str()), (*status, *code), "{headers:?}: {}", answer.body);
        assert_eq!(answer.header("tus-resumable"), Some("1.0.0"));
        let made = server.uploads.staging.all().unwrap().len() - before;
        assert_eq!(made, usize::from(*status == 201), "{headers:?}");
        if *status == 201 {
            let path = answer.header("location").unwrap();
            assert!(path.starts_with("/api/v1/files/"), "{path}");
            assert_eq!(answer.offset().is_some(), headers.contains(&CHUNK));
            assert_eq!(server.offset(path), Some(body.len() as u64));
            assert_eq!(answer.header("upload-expires").is_none(), body.len() == 5);
        }
    }
    let empty = server.create(&[("Upload-Length", "0"), ("Upload-Metadata", &named(b""))]);
    assert_eq!(server.offset(&empty), Some(0));
    assert_eq!(server.found(b"").unwrap().size_bytes, 0, "complete at once");
}

#[test]
fn head_tells_offset_length_and_metadata() {
    let folder = tempfile::tempdir().unwrap();
    let server = TestServer::start(folder.path());
    let path = server.create(&[("Upload-Length", "9"), ("Upload-Metadata", "name Zg==,flag")]);
    assert_eq!(server.patch(&path, 0, b"abc").status, 204);
    let answer = server.send("HEAD", &path, &[], b"");
    assert_eq!((answer.status, answer.body.as_str()), (200, ""));
    for (name, value) in [
        ("upload-offset", "3"),
        ("upload-length", "9"),
        ("upload-metadata", "name Zg==,flag"),
        ("cache-control", "no-store"),
        ("tus-resumable", "1.0.0"),
    ] {
        assert_eq!(answer.header(name), Some(value));
    }
    let expires: actix_web::http::header::HttpDate =
        answer.header("upload-expires").unwrap().parse().unwrap();
    let in_hours = std::time::SystemTime::from(expires).duration_since(std::time::SystemTime::now()).unwrap();
    assert!((23..=24).contains(&(in_hours.as_secs() / 3600)), "{in_hours:?}");
}

#[test]
fn patch_takes_only_what_belongs_there() {
    let folder = tempfile::tempdir().unwrap();
    let server = TestServer::start(folder.path());
    let path = server.create(&[("Upload-Length", "9")]);
    assert_eq!(server.patch(&path, 0, b"abc").offset(), Some(3));
    let at = ("Upload-Offset", "3");
    let right = ("Upload-Checksum", "sha1 WJwiM1o4HxItEpIl9cC6MFbtWBE=");
    let table: &[Row<'_>] = &[
        (&[at, ("Content-Type", "application/octet-stream")], b"def", 415, "not-a-chunk"),
        (&[at], b"def", 415, "not-a-chunk"),
        (&[CHUNK], b"def", 400, "offset-missing"),
        (&[CHUNK, ("Upload-Offset", "x")], b"def", 400, "malformed-header"),
        (&[CHUNK, ("Upload-Offset", "-3")], b"def", 400, "malformed-header"),
        (&[CHUNK, ("Upload-Offset", "2")], b"def", 409, "offset-mismatch"),
        (&[CHUNK, ("Upload-Offset", "4")], b"def", 409, "offset-mismatch"),
        (&[CHUNK, at, ("Upload-Length", "8")], b"def", 400, "length-changed"),
        (&[CHUNK, at], b"defghij", 413, "upload-too-large"),
        (&[CHUNK, at, ("Upload-Checksum", "crc32 AAAAAA==")], b"def", 400, "unknown-checksum-algorithm"),
        (&[CHUNK, at, ("Upload-Checksum", "sha1")], b"def", 400, "malformed-checksum"),
        (&[CHUNK, at, right], b"deF", 460, "checksum-mismatch"),
        (&[CHUNK, at, right], b"defghi", 460, "checksum-mismatch"),
    ];
    for (headers, body, status, code) in table {
        let answer = server.send("PATCH", &path, headers, body);
        assert_eq!((answer.status, answer.code().as_str()), (*status, *code), "{headers:?}: {}", answer.body);
        assert_eq!(answer.header("tus-resumable"), Some("1.0.0"));
        assert_eq!(server.offset(&path), Some(3), "{headers:?}");
    }
    // Longer than announced, without saying so beforehand.
    let chunked = [CHUNK, at, ("Content-Length", "-"), ("Transfer-Encoding", "chunked")];
    assert_eq!(server.send("PATCH", &path, &chunked, b"7\r\ndefghij\r\n0\r\n\r\n").status, 413);
    assert_eq!(server.offset(&path), Some(3));
    let right = server.send("PATCH", &path, &[CHUNK, at, right], b"def");
    assert_eq!((right.status, right.offset()), (204, Some(6)), "{}", right.body);
    assert!(right.header("upload-expires").is_some());
    let over = [CHUNK, ("Upload-Offset", "6"), ("X-HTTP-Method-Override", "PATCH")];
    let last = server.send("POST", &path, &over, b"ghi");
    assert_eq!((last.status, last.offset()), (204, Some(9)), "the override wins: {}", last.body);
    assert_eq!(std::fs::read(server.found(b"abcdefghi").unwrap().path).unwrap(), b"abcdefghi");
    assert_eq!(server.patch(&path, 9, b"").status, 204, "a repeat without bytes");
    assert_eq!(server.patch(&path, 9, b"j").status, 413);
    assert_eq!(server.patch(&path, 0, b"abc").status, 409);
    assert_eq!(server.patch("/api/v1/files/0190b3c8-5f4e-7c1a-9d2e-3f4a5b6c7d8e", 0, b"").status, 404);
}

#[test]
fn a_deferred_length_is_said_once() {
    let folder = tempfile::tempdir().unwrap();
    let server = TestServer::start(folder.path());
    let path = server.create(&[("Upload-Defer-Length", "1")]);
    assert_eq!(server.patch(&path, 0, b"abc").offset(), Some(3));
    let head = server.send("HEAD", &path, &[], b"");
    assert_eq!((head.header("upload-defer-length"), head.header("upload-length")), (Some("1"), None));
    let said = |length: &str, body: &[u8]| {
        server.send("PATCH", &path, &[CHUNK, ("Upload-Offset", "3"), ("Upload-Length", length)], body)
    };
    assert_eq!(said("2", b"").code(), "length-too-small");
    assert_eq!(said("1000001", b"").status, 413);
    assert_eq!(said("6", b"").status, 204);
    assert_eq!(said("7", b"").code(), "length-changed");
    assert_eq!(server.send("HEAD", &path, &[], b"").header("upload-length"), Some("6"));
    assert_eq!(said("6", b"def").offset(), Some(6));
    assert!(server.found(b"abcdef").is_some());
}

#[test]
fn a_terminated_upload_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let server = TestServer::start(folder.path());
    for body in [&b"ab"[..], b"abc"] {
        let path = server.create(&[("Upload-Length", "3")]);
        assert_eq!(server.patch(&path, 0, body).status, 204);
        assert_eq!(server.send("DELETE", &path, &[], b"").status, 204);
        for method in ["HEAD", "PATCH", "DELETE"] {
            let answer = server.send(method, &path, &[CHUNK, ("Upload-Offset", "2")], b"");
            assert_eq!((answer.status, answer.offset()), (404, None), "{method}");
        }
    }
    assert_eq!((server.rows(), server.uploads.staging.all().unwrap().len()), (0, 0));
}

#[test]
fn one_owner_cannot_open_uploads_without_end() {
    let folder = tempfile::tempdir().unwrap();
    let server = TestServer::start(folder.path());
    for n in 0..super::super::MAX_OPEN {
        let id = format!("{n}");
        std::fs::create_dir_all(folder.path().join(format!("staging/device%3a{ALICE}/open/{id}"))).unwrap();
    }
    assert_eq!(server.send("POST", FILES, &[("Upload-Length", "3")], b"").code(), "too-many-uploads");
    assert_eq!(server.send_as(BOB, "POST", FILES, &[("Upload-Length", "3")], b"").status, 201);
    // What a crash left of a creation is swept away.
    assert_eq!(server.wait(server.uploads.expire(server.clock.now())).unwrap(), super::super::MAX_OPEN);
    assert_eq!(server.send("POST", FILES, &[("Upload-Length", "3")], b"").status, 201);
}
