//! Published test vectors, run where somebody wants to say that the software computes what it should: each
//! with its source and whether it came out.

use ed25519_dalek::{Signature, VerifyingKey};
use serde::Serialize;

use crate::canonical;
use crate::digest::Sha256;
use crate::envelope;
use crate::merkle::{Tree, leaf_hash, verify_inclusion};

/// One vector.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SelfTest {
    pub name: &'static str,
    pub source: &'static str,
    pub passed: bool,
}

/// Runs every vector.
#[must_use]
pub fn run() -> Vec<SelfTest> {
    let test = |name, source, passed| SelfTest { name, source, passed };
    vec![
        test("SHA-256 of \"abc\"", "FIPS 180-4, appendix B.1", sha256()),
        test("Ed25519 signature of the empty message", "RFC 8032 §7.1, test 1", ed25519()),
        test(
            "a changed Ed25519 signature is refused",
            "RFC 8032 §7.1, test 1, one bit changed",
            !ed25519_with(1),
        ),
        test("canonical JSON sorts keys and escapes as asked", "RFC 8785 §3.2.3", canonical_form()),
        test("bytes that DSSE signs", "DSSE v1 protocol, the example of its text", dsse()),
        test(
            "tree head and path over eight entries",
            "Certificate Transparency test data (RFC 6962)",
            tree(),
        ),
    ]
}

fn sha256() -> bool {
    Sha256::of(b"abc").as_str() == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
}

fn bytes<const N: usize>(text: &str) -> [u8; N] {
    let mut bytes = [0; N];
    // A text of another length leaves zeros, and the vector fails.
    hex::decode_to_slice(text, &mut bytes).unwrap_or_default();
    bytes
}

fn ed25519() -> bool {
    ed25519_with(0)
}

fn ed25519_with(change: u8) -> bool {
    let key = bytes("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
    let mut signature: [u8; 64] = bytes(
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b\
         d25bf5f0595bbe24655141438e7a100b",
    );
    if let Some(first) = signature.first_mut() {
        *first ^= change;
    }
    VerifyingKey::from_bytes(&key)
        .is_ok_and(|key| key.verify_strict(b"", &Signature::from_bytes(&signature)).is_ok())
}

fn canonical_form() -> bool {
    let document = serde_json::json!({
        "\u{20ac}": "Euro Sign", "\r": "Carriage Return", "1": "One", "\u{80}": "Control\u{7f}",
        "\u{1f600}": "Emoji: Grinning Face", "\u{f6}": "Latin Small Letter O With Diaeresis",
    });
    let expected = "{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\u{80}\":\"Control\u{7f}\",\"\u{f6}\":\"Latin \
                    Small Letter O With Diaeresis\",\"\u{20ac}\":\"Euro Sign\",\"\u{1f600}\":\"Emoji: Grinning \
                    Face\"}";
    canonical::write(&document).is_ok_and(|written| written == expected.as_bytes())
}

fn dsse() -> bool {
    envelope::pre_authentication("http://example.com/HelloWorld", b"hello world")
        == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
}

fn tree() -> bool {
    let leaves: [&[u8]; 8] = [
        b"",
        b"\x00",
        b"\x10",
        b"\x20\x21",
        b"\x30\x31",
        b"\x40\x41\x42\x43",
        b"\x50\x51\x52\x53\x54\x55\x56\x57",
        b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
    ];
    let mut tree: Tree = leaves.iter().map(|leaf| leaf_hash(leaf)).collect();
    let path = tree.path(5).unwrap_or_default();
    tree.root().as_str() == "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"
        && verify_inclusion(&leaf_hash(b"\x40\x41\x42\x43"), 5, 8, &path, &tree.root()).is_ok()
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_vector_comes_out() {
        for test in super::run() {
            assert!(test.passed, "{test:?}");
        }
    }
}
