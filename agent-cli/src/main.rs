//! The `endcheck` program: hands its arguments to the library and exits as that says.

use std::process::ExitCode;

fn main() -> ExitCode {
    endcheck::run(std::env::args_os(), &endcheck::Environment::from_process()).into()
}
