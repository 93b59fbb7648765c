//! Programs that others wrote, on a bag of ours.

use std::path::Path;
use std::process::Command;

use age::secrecy::ExposeSecret as _;
use endcheck_tests::workspace_root;

use super::{Case, export};
use crate::python::{python, run};

/// The fenced blocks of a language in a Markdown text.
fn blocks(markdown: &str, language: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut block: Option<String> = None;
    for line in markdown.lines() {
        match &mut block {
            None if line == format!("```{language}") => block = Some(String::new()),
            None => {}
            Some(_) if line == "```" => blocks.extend(block.take()),
            Some(text) => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    blocks
}

/// Does what VERIFY.md says, word for word.
fn follow_the_steps(bag: &Path) -> Result<String, String> {
    let markdown = std::fs::read_to_string(bag.join("data/VERIFY.md")).unwrap();
    let program = blocks(&markdown, "go").concat();
    // Beside the bag, not in it: the first step would rightly find a file that no manifest lists.
    std::fs::write(bag.parent().unwrap().join("verify.go"), program).unwrap();
    let script = format!("set -eu\n{}", blocks(&markdown, "sh").concat());
    let script = script.replace("go run verify.go", "go run ../verify.go");
    run(Command::new("sh").args(["-c", &script]).current_dir(bag))
}

/// The envelope with another first character of its signature.
fn another_signature(envelope: &str) -> String {
    let (before, signature) = envelope.split_once("\"sig\":\"").unwrap();
    let first = if signature.starts_with('A') { 'B' } else { 'A' };
    format!("{before}\"sig\":\"{first}{}", &signature[1..])
}

#[test]
fn the_steps_of_verify_md_hold_word_for_word_and_fail_on_a_changed_bag() {
    let case = Case::new();
    let bag = case.unpacked("bag");
    let said = follow_the_steps(&bag).unwrap_or_else(|said| panic!("{said}"));
    for line in ["the bag is whole", "every signature verifies", "proofs and"] {
        assert!(said.contains(line), "{said}");
    }
    let record = crate::tablet::files_below(&bag.join("data/records")).remove(0);
    let content = std::fs::read_to_string(&record).unwrap();
    std::fs::write(&record, another_signature(&content)).unwrap();
    assert!(follow_the_steps(&bag).is_err());
    super::changes::remake_manifests(&bag);
    let said = follow_the_steps(&bag).unwrap_err();
    assert!(said.contains("DOES NOT VERIFY"), "{said}");
}

#[test]
fn python_s_bagit_and_securesystemslib_accept_the_bag_and_its_envelopes() {
    let case = Case::new();
    let bag = case.unpacked("bag");
    let Some(python) = python() else { return };
    let judge = || run(Command::new(&python).arg(workspace_root().join("tests/judges/bag.py")).arg(&bag));
    let said = judge().unwrap();
    assert!(said.contains("valid bag, 5 envelopes verify"), "{said}");
    let original = crate::tablet::files_below(&bag.join("data/original")).remove(0);
    std::fs::write(original, b"another").unwrap();
    assert!(judge().is_err());
}

#[test]
fn the_age_program_opens_what_is_sealed_to_somebody_and_nobody_else_does() {
    let case = Case::new();
    let identity = age::x25519::Identity::generate();
    let query = format!("&recipient={}", identity.to_public());
    let sealed = export(&case.office, &case.visit, &query);
    let folder = case.folder.path();
    std::fs::write(folder.join("sealed.tar.age"), &sealed.body).unwrap();
    std::fs::write(folder.join("key"), identity.to_string().expose_secret()).unwrap();
    let other = age::x25519::Identity::generate();
    std::fs::write(folder.join("other"), other.to_string().expose_secret()).unwrap();
    let open = |key: &str| {
        let arguments = ["-d", "-i", key, "-o", "opened.tar", "sealed.tar.age"];
        run(Command::new("age").args(arguments).current_dir(folder))
    };
    assert!(open("other").is_err());
    open("key").unwrap();
    case.holds(&folder.join("opened.tar"));
    let path = format!("/api/v1/visits/{}/bundle?why=x&recipient=age1nobody", case.visit);
    case.office.investigator().get(&path).expect_problem(422, "invalid-fields");
}
