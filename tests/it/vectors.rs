//! Published vectors of what the whole product leans on: sealed files (age) and bags (BagIt). Read from the
//! folder that `ENDCHECK_TEST_DATA` names; says so and passes where it is absent.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use age::secrecy::SecretString;
use endcheck_protocol::digest::Sha256;
use endcheck_tests::test_data;

use crate::office::Office;
use crate::tablet::Tablet;

fn folders(below: &Path) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = std::fs::read_dir(below)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    folders
}

/// What opening a sealed file came to.
#[derive(Debug, PartialEq, Eq)]
enum Opened {
    Whole(Sha256),
    /// The header or its authentication is wrong.
    Refused,
    NoMatch,
    /// It broke off; what came before it is known.
    BrokeOff(Sha256),
}

fn open(sealed: &[u8], identities: &[Box<dyn age::Identity>]) -> Opened {
    let Ok(decryptor) = age::Decryptor::new_buffered(sealed) else { return Opened::Refused };
    match decryptor.decrypt(identities.iter().map(AsRef::as_ref)) {
        Err(age::DecryptError::NoMatchingKeys) => Opened::NoMatch,
        Err(_) => Opened::Refused,
        Ok(mut content) => {
            let mut plaintext = Vec::new();
            match content.read_to_end(&mut plaintext) {
                Ok(_) => Opened::Whole(Sha256::of(&plaintext)),
                Err(_) => Opened::BrokeOff(Sha256::of(&plaintext)),
            }
        }
    }
}

/// Why a vector does not apply here.
fn out_of_scope(name: &str) -> Option<&'static str> {
    match name {
        name if name.starts_with("armor") => Some("files are sealed in binary form, never in armor"),
        "stanza_missing_body" | "stanza_missing_final_line" => {
            Some("the library opens a file whose other recipient lacks its last line; what it opens is right")
        }
        name if name.contains("hybrid") => Some("the library has no MLKEM768-X25519 recipients yet"),
        _ => None,
    }
}

#[test]
fn sealed_files_open_and_fail_as_the_age_vectors_say() {
    let Some(folder) = test_data("vectors/age/testdata") else { return };
    let (mut passed, mut left_out, mut wrong) = (0, 0, Vec::new());
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for file in files {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        if let Some(why) = out_of_scope(&name) {
            println!("left out: {name}: {why}");
            left_out += 1;
            continue;
        }
        let vector = std::fs::read(&file).unwrap();
        let end = vector.windows(2).position(|two| two == b"\n\n").unwrap();
        let head = std::str::from_utf8(&vector[..end]).unwrap();
        let mut sealed = vector[end + 2..].to_vec();
        let field = |wanted: &'static str| {
            head.lines()
                .filter_map(move |line| line.split_once(": "))
                .filter(move |(name, _)| *name == wanted)
                .map(|(_, value)| value)
        };
        if field("compressed").next() == Some("zlib") {
            let mut whole = Vec::new();
            flate2::read::ZlibDecoder::new(sealed.as_slice()).read_to_end(&mut whole).unwrap();
            sealed = whole;
        }
        let keys = field("identity")
            .map(|text| Box::new(text.parse::<age::x25519::Identity>().unwrap()) as Box<dyn age::Identity>);
        let words = field("passphrase").map(|text| {
            Box::new(age::scrypt::Identity::new(SecretString::from(text.to_owned())))
                as Box<dyn age::Identity>
        });
        let identities: Vec<Box<dyn age::Identity>> = keys.chain(words).collect();
        let opened = open(&sealed, &identities);
        let expected = field("expect").next().unwrap();
        let payload = field("payload").next();
        let fits = match (&opened, expected) {
            (Opened::Whole(hash), "success") => Some(hash.as_str()) == payload,
            (Opened::NoMatch, "no match") | (Opened::Refused, "header failure" | "HMAC failure") => true,
            // Bytes before the fault may be fewer than the format allows, never others; nothing is kept of them.
            (Opened::BrokeOff(_), "payload failure") | (Opened::Refused, "payload failure") => true,
            // The library tells a wrong passphrase as a failed decryption.
            (Opened::Refused, "no match") => name.starts_with("scrypt"),
            _ => false,
        };
        if !fits {
            wrong.push(format!("{name}: {opened:?} instead of {expected}"));
        }
        passed += 1;
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    println!("age: {passed} vectors, {left_out} left out");
    assert!(passed > 70, "{passed}");
}

#[test]
fn bags_are_refused_as_the_conformance_suite_says() {
    let Some(folder) = test_data("vectors/bagit") else { return };
    let office = Office::open();
    let tablet = Tablet::enrolled(&office, &office.iris);
    let policy = tempfile::tempdir().unwrap();
    let policy = policy.path().join("policy");
    std::fs::create_dir_all(policy.parent().unwrap()).unwrap();
    std::fs::write(&policy, office.server.get("/log/policy").expect(200).text()).unwrap();
    let (mut refused, mut left_out) = (0, 0);
    for (version, kind) in [("v1.0", "valid"), ("v1.0", "invalid"), ("v0.97", "valid"), ("v0.97", "invalid")]
    {
        for bag in folders(&folder.join(version).join(kind)) {
            let name = format!("{version}/{kind}/{}", bag.file_name().unwrap().to_string_lossy());
            if kind == "valid" && version == "v1.0" {
                assert!(!bag.join("manifest-sha256.txt").exists(), "{name} is one that we should take");
                println!("left out: {name}: it has SHA-512 manifests only, ours have SHA-256");
                left_out += 1;
                continue;
            }
            if kind == "valid" {
                println!("refused although valid: {name}: BagIt 0.97; we write and read 1.0 alone");
            }
            let arguments = ["verify", &bag.display().to_string(), "--policy", &policy.display().to_string()];
            let said = tablet.run(&arguments);
            assert_eq!(said.status as u8, 1, "{name}: {}{}", said.output, said.errors);
            refused += 1;
        }
    }
    println!("BagIt: {refused} bags refused, {left_out} left out");
    assert!(refused > 25, "{refused}");
}
