//! Every crate that can be built in has an allowed licence and an allowed origin, by `deny.toml`.

use std::collections::BTreeSet;
use std::process::Command;

use endcheck_tests::{licences, workspace_root};
use serde_json::Value;

fn texts<'a>(value: &'a toml::Value, path: [&str; 2]) -> Vec<&'a str> {
    value[path[0]][path[1]].as_array().unwrap().iter().filter_map(toml::Value::as_str).collect()
}

#[test]
fn every_crate_is_one_that_may_be_built_in() {
    let deny: toml::Value =
        toml::from_str(&std::fs::read_to_string(workspace_root().join("deny.toml")).unwrap()).unwrap();
    let allowed = texts(&deny, ["licenses", "allow"]);
    let registries = texts(&deny, ["sources", "allow-registry"]);
    let exceptions = deny["licenses"]["exceptions"].as_array().unwrap();
    let banned: Vec<&str> =
        deny["bans"]["deny"].as_array().unwrap().iter().filter_map(|ban| ban["crate"].as_str()).collect();

    let mut faults = Vec::new();
    let packages = packages_built();
    assert!(packages.len() > 200, "{} packages", packages.len());
    for package in &packages {
        let name = package["name"].as_str().unwrap();
        if banned.contains(&name) {
            faults.push(format!("{name} is banned"));
        }
        if let Some(source) = package["source"].as_str()
            && !registries.iter().any(|registry| source == format!("registry+{registry}"))
        {
            faults.push(format!("{name} comes from {source}"));
        }
        let accepted = |licence: &str| {
            allowed.contains(&licence)
                || exceptions.iter().any(|exception| {
                    exception["crate"].as_str() == Some(name)
                        && exception["allow"].as_array().unwrap().iter().any(|l| l.as_str() == Some(licence))
                })
        };
        match licences::is_met(&licence_of(package), &accepted) {
            Ok(true) => {}
            Ok(false) => faults.push(format!("{name} is under {}", licence_of(package))),
            Err(error) => faults.push(format!("{name}: {error}")),
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

/// What the manifest says; of a crate that only has a licence file, what that file is.
fn licence_of(package: &Value) -> String {
    if let Some(expression) = package["license"].as_str() {
        return expression.to_owned();
    }
    let folder = std::path::Path::new(package["manifest_path"].as_str().unwrap()).parent().unwrap();
    let text = std::fs::read_to_string(folder.join(package["license_file"].as_str().unwrap_or("LICENSE")))
        .unwrap_or_default();
    let mit =
        text.starts_with("MIT License") && text.contains("Permission is hereby granted, free of charge");
    if mit { "MIT".to_owned() } else { "unknown".to_owned() }
}

/// The packages that a build of the workspace reaches, whatever the platform. What `cargo metadata`
/// lists is more: it takes in what a feature would add that nobody asks for.
fn packages_built() -> Vec<Value> {
    let tree =
        cargo(&["tree", "--workspace", "--target", "all", "-e", "all", "--prefix", "none", "-f", "{p}"]);
    let built: BTreeSet<(&str, &str)> = tree
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            Some((words.next()?, words.next()?.strip_prefix('v')?))
        })
        .collect();
    let metadata: Value = serde_json::from_str(&cargo(&["metadata", "--format-version", "1"])).unwrap();
    let text = |package: &Value, field: &str| package[field].as_str().unwrap().to_owned();
    let packages = metadata["packages"].as_array().unwrap().iter();
    packages
        .filter(|package| built.contains(&(&text(package, "name"), &text(package, "version"))))
        .cloned()
        .collect()
}

/// What cargo says of this workspace as it is locked.
fn cargo(words: &[&str]) -> String {
    let output = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()))
        .args(words)
        .args(["--locked", "--offline"])
        .current_dir(workspace_root())
        .output()
        .unwrap();
    assert!(output.status.success(), "cargo {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
