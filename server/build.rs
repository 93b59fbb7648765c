//! Embeds migrations and pages anew whenever they change.

fn main() {
    println!("cargo:rerun-if-changed=../migrations");
    println!("cargo:rerun-if-changed=templates");
}
