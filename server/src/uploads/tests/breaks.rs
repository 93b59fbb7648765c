//! Cuts, restarts, dead connections, full disks: what arrived stays, what was refused does not.

use std::time::Instant;

use super::*;

/// A small generator, so that a failing run can be repeated.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

#[test]
fn an_upload_survives_cuts_at_any_byte_and_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = TestServer::start(folder.path());
    let mut numbers = Numbers(7);
    for round in 0..6 {
        // In every other round the cut comes while the server is still taking bytes in, or before
        // it has even begun: then only what HEAD answers is certain.
        let patient = round % 2 == 0;
        let content = content(200_000 + numbers.below(400_000) as usize);
        let size = content.len().to_string();
        let path = server.create(&[("Upload-Length", &size), ("Upload-Metadata", &named(&content))]);
        let (mut offset, mut furthest) = (0, 0);
        for _ in 0..8 {
            let rest = &content[offset as usize..];
            let sent = numbers.below(rest.len() as u64 / 3);
            let size = rest.len().to_string();
            let headers = [CHUNK, ("Upload-Offset", &offset.to_string()), ("Content-Length", &size)];
            let connection = server.begin(ALICE, "PATCH", &path, &headers, &rest[..sent as usize]);
            furthest = furthest.max(offset + sent);
            if patient {
                server.wait_for(&path, offset + sent);
            }
            drop(connection);
            let now = server.offset(&path).unwrap();
            assert!(now >= offset && now <= furthest, "{offset} + {sent} bytes became {now}");
            assert!(!patient || now == offset + sent, "all that arrived is kept");
            offset = now;
            if numbers.below(4) == 0 {
                drop(server);
                server = TestServer::start(folder.path());
                let now = server.offset(&path).unwrap();
                assert!(now == offset || !patient && now <= furthest, "a restart changes nothing");
                offset = now;
            }
        }
        let listed = server.uploads.open_of(&format!("device:{ALICE}")).unwrap();
        assert_eq!(listed.len(), 1);
        assert_eq!(listed[0].location, path);
        let mut last = server.patch(&path, offset, &content[offset as usize..]);
        while last.status == 409 {
            // A request cut before this one was only now carried out.
            offset = server.offset(&path).unwrap();
            last = server.patch(&path, offset, &content[offset as usize..]);
        }
        assert_eq!((last.status, last.offset()), (204, Some(content.len() as u64)), "{round}: {}", last.body);
        let found = server.found(&content).unwrap();
        assert_eq!(std::fs::read(&found.path).unwrap(), content);
        assert!(server.uploads.open_of(&format!("device:{ALICE}")).unwrap().is_empty());
    }
}

#[test]
fn a_checksummed_chunk_that_is_cut_never_was() {
    let folder = tempfile::tempdir().unwrap();
    let server = TestServer::start(folder.path());
    let content = content(100_000);
    let path = server.create(&[("Upload-Length", "100000"), ("Upload-Metadata", &named(&content))]);
    assert_eq!(server.patch(&path, 0, &content[..10]).status, 204);
    let checksum = format!("sha256 {}", base64(Sha256::of(&content[10..]).to_bytes()));
    let headers =
        [CHUNK, ("Upload-Offset", "10"), ("Upload-Checksum", &checksum), ("Content-Length", "99990")];
    let connection = server.begin(ALICE, "PATCH", &path, &headers, &content[10..50_000]);
    server.wait_for(&path, 50_000);
    drop(connection);
    assert_eq!(server.offset(&path), Some(10));
    let answer = server.send("PATCH", &path, &headers, &content[10..]);
    assert_eq!((answer.status, answer.offset()), (204, Some(100_000)), "{}", answer.body);
}

#[test]
fn a_new_request_breaks_a_dead_holder() {
    let folder = tempfile::tempdir().unwrap();
    let server = TestServer::start(folder.path());
    let content = content(90_000);
    let path = server.create(&[("Upload-Length", "90000"), ("Upload-Metadata", &named(&content))]);
    let headers = [CHUNK, ("Upload-Offset", "0"), ("Content-Length", "90000")];
    let stuck = server.begin(ALICE, "PATCH", &path, &headers, &content[..30_000]);
    server.wait_for(&path, 30_000);
    let begun = Instant::now();
    let offset = server.offset(&path);
    assert_eq!(offset, Some(30_000), "what the dead one sent is kept");
    assert_eq!(server.patch(&path, 30_000, &content[30_000..]).status, 204);
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert_eq!(read(stuck).code(), "upload-taken-over");
}

#[test]
fn a_full_disk_is_said_and_what_arrived_stays() {
    let folder = tempfile::tempdir().unwrap();
    let server = TestServer::start(folder.path());
    let path = server.create(&[("Upload-Length", "9")]);
    let bytes = server.staged(&path);
    std::fs::remove_file(&bytes).unwrap();
    std::os::unix::fs::symlink("/dev/full", &bytes).unwrap();
    let answer = server.patch(&path, 0, b"abc");
    assert_eq!((answer.status, answer.code().as_str()), (507, "storage-full"));
    std::fs::remove_file(&bytes).unwrap();
    std::fs::write(&bytes, b"").unwrap();
    assert_eq!(server.patch(&path, 0, b"abc").status, 204);
}
