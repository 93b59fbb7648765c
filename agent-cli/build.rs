//! Embeds the agent's migrations anew whenever they change.

fn main() {
    println!("cargo:rerun-if-changed=../migrations/agent");
}
