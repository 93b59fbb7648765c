//! `enrol`: headquarters learns this device's keys and certifies them.
//!
//! The keys are durable before the server is asked, so a cut in between is mended by asking again.

use endcheck_protocol::envelope::{fingerprint, public_key_to_base64};
use endcheck_protocol::sync::EnrolDevice;
use url::{Host, Url};

use crate::cli::Enrol;
use crate::environment::Environment;
use crate::identity::{AGENT, EnrolmentKeys, IdentityDocument, Secret};
use crate::refusal::{ExitStatus, refuse};
use crate::store::Database;
use crate::sync::{Client, TERM_DAYS};
use crate::ui::Ui;
use crate::vault;

/// Every authority that a system trusts fits into this several times.
const MAX_CA_BYTES: u64 = 4 * 1024 * 1024;

pub(super) fn run(command: &Enrol, environment: &Environment, ui: &Ui<'_>) -> anyhow::Result<ExitStatus> {
    let server = server(&command.url, command.plain_http)?;
    let ca_pem = command.ca.as_ref().map(|path| super::text_file(path, MAX_CA_BYTES)).transpose()?;
    let mut database = Database::create(&environment.home)?;
    if !vault::exists(&mut database.conn)? {
        let passphrase = match &environment.passphrase {
            Some(passphrase) => passphrase.clone(),
            None => choose(ui)?,
        };
        vault::create(&mut database.conn, &passphrase, environment.passphrase_cost)?;
    }
    let mut store = database.unlock(environment, ui)?;
    if store.setting::<IdentityDocument>("identity")?.is_some() {
        return Err(refuse(
            format!("the store in {} is enrolled already", environment.home.display()),
            "See it with `endcheck status`; for another enrolment set ENDCHECK_HOME to another folder.",
        ));
    }
    let keys = match store.setting::<EnrolmentKeys>("enrolling")? {
        Some(keys)
            if keys.server == server.as_str() && keys.ca_pem == ca_pem && keys.name == command.name =>
        {
            keys
        }
        _ => {
            let keys = EnrolmentKeys::make(&server, ca_pem, command.name.clone(), TERM_DAYS)?;
            store.set("enrolling", &keys)?;
            keys
        }
    };
    let request = EnrolDevice {
        code: command.code.clone(),
        name: command.name.clone(),
        sign_in_key: public_key_to_base64(&keys.sign_in_key()?.verifying_key()),
        record_keys: public_keys(&keys)?,
        agent: AGENT.to_owned(),
    };
    let enrolment = Client::new(&server, keys.ca_pem.as_deref(), ui)?.enrol(&request)?;
    let identity = store.enrolled(IdentityDocument::new(keys, enrolment))?;
    let certificate = &identity.certificate;
    let authority = fingerprint(&identity.authority);
    let report = serde_json::json!({
        "device": certificate.device,
        "inspector": certificate.inspector_name,
        "org": certificate.org,
        "authority_key": authority,
        "expires_at": certificate.expires_at,
    });
    ui.report(&report, || {
        format!(
            "Enrolled as device {} of {}, {}.\nThis device now trusts the authority key {authority};\ncompare \
             it with what headquarters published.\nFetch your visits with `endcheck pull`.",
            certificate.device, certificate.inspector_name, certificate.org
        )
    });
    Ok(ExitStatus::Success)
}

fn public_keys(keys: &EnrolmentKeys) -> anyhow::Result<Vec<String>> {
    let public = |secret: &Secret| Ok(public_key_to_base64(&secret.key()?.verifying_key()));
    keys.record_secrets().iter().map(public).collect()
}

fn server(url: &Url, plain_http: bool) -> anyhow::Result<Url> {
    let loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    match url.scheme() {
        "https" => {}
        "http" if loopback || plain_http => {}
        "http" => {
            return Err(refuse(
                format!("{url} has no TLS: anybody on the way could read and change what is sent"),
                "Use https, or say --plain-http where another layer protects the way.",
            ));
        }
        _ => {
            return Err(refuse(
                format!("{url} is not the address of a server"),
                "Give one such as https://endcheck.example.org.",
            ));
        }
    }
    let mut server = url.clone();
    server.set_query(None);
    server.set_fragment(None);
    if !server.path().ends_with('/') {
        server.set_path(&format!("{}/", url.path()));
    }
    Ok(server)
}

fn choose(ui: &Ui<'_>) -> anyhow::Result<zeroize::Zeroizing<String>> {
    ui.note("Choose a passphrase for this device's store. Nobody can recover it.");
    let first = ui.passphrase("Passphrase")?;
    if *first != *ui.passphrase("Again")? {
        return Err(refuse("the two passphrases differ", "Try again."));
    }
    Ok(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_this_machine_unless_said_otherwise() {
        for (url, plain_http, expected) in [
            ("https://hq.example.org", false, Some("https://hq.example.org/")),
            ("https://hq.example.org/endcheck?x#y", false, Some("https://hq.example.org/endcheck/")),
            ("http://127.0.0.1:8080", false, Some("http://127.0.0.1:8080/")),
            ("http://[::1]:8080/", false, Some("http://[::1]:8080/")),
            ("http://hq.example.org", false, None),
            ("http://hq.example.org", true, Some("http://hq.example.org/")),
            ("ftp://hq.example.org", true, None),
        ] {
            let server = server(&url.parse().unwrap(), plain_http).ok();
            assert_eq!(server.as_ref().map(Url::as_str), expected, "{url}");
        }
    }
}
