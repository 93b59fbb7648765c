//! The manual under test: help texts, refusals and the verbs that need no server, as typed.

#[test]
fn the_manual_is_as_written() {
    trycmd::TestCases::new()
        .env("ENDCHECK_HOME", "/nonexistent/endcheck")
        .env("COLUMNS", "100")
        .case("tests/cmd/*.trycmd");
}
