//! Whether a licence expression is met by a list of allowed licences.
//!
//! Reads SPDX expressions as they stand in crates' manifests, the old form with `/` included. Knows
//! no licence by itself: the list is `deny.toml`'s.

/// Whether `expression` leaves a way to use only licences that `allowed` accepts. A licence with an
/// exception is one name: `Apache-2.0 WITH LLVM-exception`.
///
/// # Errors
/// When it is not an expression; says what was found where something else belongs.
pub fn is_met(expression: &str, allowed: &dyn Fn(&str) -> bool) -> Result<bool, String> {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    let met = either(&mut rest, allowed)?;
    match rest.first() {
        None => Ok(met),
        Some(word) => Err(format!("{word:?} after the end of {expression:?}")),
    }
}

fn either(rest: &mut &[&str], allowed: &dyn Fn(&str) -> bool) -> Result<bool, String> {
    let mut met = both(rest, allowed)?;
    while take(rest, "OR") {
        met |= both(rest, allowed)?;
    }
    Ok(met)
}

fn both(rest: &mut &[&str], allowed: &dyn Fn(&str) -> bool) -> Result<bool, String> {
    let mut met = one(rest, allowed)?;
    while take(rest, "AND") {
        met &= one(rest, allowed)?;
    }
    Ok(met)
}

fn one(rest: &mut &[&str], allowed: &dyn Fn(&str) -> bool) -> Result<bool, String> {
    if take(rest, "(") {
        let met = either(rest, allowed)?;
        return if take(rest, ")") { Ok(met) } else { Err("a parenthesis is not closed".to_owned()) };
    }
    match rest {
        [name, "WITH", exception, others @ ..] => {
            *rest = others;
            Ok(allowed(&format!("{name} WITH {exception}")))
        }
        [name, others @ ..] if !["AND", "OR", "WITH", ")"].contains(name) => {
            *rest = others;
            Ok(allowed(name))
        }
        [word, ..] => Err(format!("{word:?} where a licence belongs")),
        [] => Err("the end where a licence belongs".to_owned()),
    }
}

fn take(rest: &mut &[&str], word: &str) -> bool {
    match rest {
        [first, others @ ..] if *first == word => {
            *rest = others;
            true
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_met_by_one_way_through_them() {
        let allowed = |name: &str| ["MIT", "ISC", "Apache-2.0 WITH LLVM-exception"].contains(&name);
        for (expression, met) in [
            ("MIT", true),
            ("GPL-3.0", false),
            ("GPL-3.0/MIT", true),
            ("MIT AND GPL-3.0", false),
            ("ISC AND (GPL-3.0 OR MIT)", true),
            ("GPL-3.0 OR ISC AND MIT", true),
            ("(GPL-3.0 OR ISC) AND LGPL-2.1", false),
            ("Apache-2.0 WITH LLVM-exception OR GPL-3.0", true),
            ("Apache-2.0 WITH Other-exception", false),
        ] {
            assert_eq!(is_met(expression, &allowed), Ok(met), "{expression}");
        }
        for nonsense in ["", "MIT AND", "(MIT", "MIT ISC", "OR MIT"] {
            assert!(is_met(nonsense, &allowed).is_err(), "{nonsense}");
        }
    }
}
