//! The language of a rule's condition: CEL, bounded so that every condition ends quickly, never
//! overflows and says the same on every machine. Pure.
//!
//! `cel` itself puts no limit on cost. So a condition is checked before it is ever run: only facts of the
//! vocabulary, whole numbers, texts and lists of texts; no functions but the few listed; each operator on
//! the types that it is for; every arithmetic result bounded by its operands' bounds; division only by a
//! number that is written there and is not zero; `exists` and `all` over a list, not one within another.
//! What passes costs at most [`MAX_STEPS`] steps, and cannot fail when all its facts are known.

use std::collections::BTreeSet;

use cel::common::ast::{CallExpr, ComprehensionExpr, Expr, IdedExpr, LiteralValue, operators};
use cel::{Context, Program, Value};

use super::facts::{FactType, Facts, MAX_WORDS, VOCABULARY, position};

/// Longest condition, in bytes.
const MAX_SOURCE_BYTES: usize = 1_000;
/// How deep a condition may be nested.
const MAX_DEPTH: u32 = 16;
/// Entries of a list that is written in a condition.
const MAX_LITERAL_LIST: usize = 256;
/// Steps that a condition may take. A node is a step; a list costs its length besides wherever it is read, written,
/// looked through or compared; whatever stands under `exists` and `all` counts once for each entry of their list.
pub const MAX_STEPS: u64 = 10_000;

/// Text functions; the interpreter knows them only after a dot.
const METHODS: [&str; 3] = ["startsWith", "endsWith", "contains"];

/// A condition that was found to be within bounds.
#[derive(Debug)]
pub struct Condition {
    program: Program,
    /// Positions in the vocabulary, in its order.
    facts: Vec<usize>,
    steps: u64,
}

/// What is wrong with a condition, and where in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Line within the condition, from 1.
    pub line: usize,
    pub message: String,
}

/// What an expression is, as far as the check needs to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Flag,
    /// Whole, between these.
    Number(i64, i64),
    Text,
    /// A list of texts of at most so many.
    Words(usize),
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Flag => "a yes or no",
            Self::Number(..) => "a number",
            Self::Text => "a text",
            Self::Words(_) => "a list of texts",
        }
    }

    fn like(self, other: Self) -> bool {
        std::mem::discriminant(&self) == std::mem::discriminant(&other)
    }
}

impl Condition {
    /// Reads and checks a condition.
    ///
    /// # Errors
    /// Says what is not allowed, and on which line.
    pub fn read(source: &str) -> Result<Self, Fault> {
        if source.len() > MAX_SOURCE_BYTES {
            let message = format!(
                "it has {} bytes; {MAX_SOURCE_BYTES} are allowed: make several rules of it",
                source.len()
            );
            return Err(Fault { line: 1, message });
        }
        check_nesting(source)?;
        let program = Program::compile(source).map_err(|errors| {
            let first = errors.errors.first();
            let line = first.and_then(|error| usize::try_from(error.pos.0).ok()).unwrap_or(1).max(1);
            let said = first.map_or_else(|| errors.to_string(), |error| error.msg.clone());
            Fault { line, message: format!("it is not CEL: {said}") }
        })?;
        let mut check =
            Check { program: &program, facts: BTreeSet::new(), steps: 0, weight: 1, bound: Vec::new() };
        let kind = check.kind(program.expression(), 0)?;
        if kind != Kind::Flag {
            let message = format!("it is {}; a condition must be a yes or no", kind.name());
            return Err(Fault { line: 1, message });
        }
        let (facts, steps) = (check.facts.into_iter().collect(), check.steps);
        Ok(Self { program, facts, steps })
    }

    /// The facts that it needs, as positions in the vocabulary, in its order.
    #[must_use]
    pub fn facts(&self) -> &[usize] {
        &self.facts
    }

    /// The most steps that it can take.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Whether it holds; all facts that it needs must be known.
    ///
    /// # Errors
    /// What the interpreter said; a condition that was read gives no error while its facts are known.
    pub fn holds(&self, context: &Context<'_, '_>) -> Result<bool, String> {
        match self.program.execute(context) {
            Ok(Value::Bool(holds)) => Ok(holds),
            Ok(other) => Err(format!("it gave {other:?}")),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// A context in which conditions find these facts.
#[must_use]
pub fn context<'v>(environment: &std::sync::Arc<cel::Env>, facts: &'v Facts) -> Context<'v, 'v> {
    let mut context = Context::with_env(std::sync::Arc::clone(environment));
    context.set_variable_resolver(facts);
    context
}

/// Keeps what is nested too deeply away from the parser, which answers it by recursion.
fn check_nesting(source: &str) -> Result<(), Fault> {
    let mut depth = 0_usize;
    for (line, character) in outside_text(source)? {
        match character {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH as usize {
            let message = format!("it is nested deeper than {MAX_DEPTH} levels: make several rules of it");
            return Err(Fault { line, message });
        }
    }
    Ok(())
}

/// The characters of a condition that stand in no quoted text, each with its line. Text that is quoted in another way
/// than with one quote and backslashes is refused, since where it ends would have to be guessed.
fn outside_text(source: &str) -> Result<Vec<(usize, char)>, Fault> {
    let mut outside = Vec::new();
    for (line, text) in (1..).zip(source.lines()) {
        let (mut before, mut quote) = (' ', None);
        let mut characters = text.chars();
        while let Some(character) = characters.next() {
            match quote {
                Some(_) if character == '\\' => drop(characters.next()),
                Some(open) if character == open => quote = None,
                Some(_) => {}
                None if character == '\'' || character == '"' => {
                    let thrice = characters.clone().take(2).eq([character, character]);
                    if before.is_alphanumeric() || thrice {
                        let message = "write text between single quotes, without a letter before them: '…'";
                        return Err(Fault { line, message: message.to_owned() });
                    }
                    quote = Some(character);
                }
                None => outside.push((line, character)),
            }
            before = character;
        }
    }
    Ok(outside)
}

struct Check<'a> {
    program: &'a Program,
    facts: BTreeSet<usize>,
    steps: u64,
    /// How often what is being looked at may run.
    weight: u64,
    /// Names bound by the `exists` or `all` around what is being looked at.
    bound: Vec<(&'a str, Kind)>,
}

impl<'a> Check<'a> {
    fn fault<T>(&self, at: &IdedExpr, message: impl Into<String>) -> Result<T, Fault> {
        let info = self.program.source_info();
        let offset = info.offset_for(at.id).map_or(0, |(start, _)| start as usize);
        let line = 1 + info.source.bytes().take(offset).filter(|byte| *byte == b'\n').count();
        Err(Fault { line, message: message.into() })
    }

    fn kind(&mut self, at: &'a IdedExpr, depth: u32) -> Result<Kind, Fault> {
        if depth > MAX_DEPTH {
            return self
                .fault(at, format!("it is nested deeper than {MAX_DEPTH} levels: make several rules of it"));
        }
        self.spend(at, 1)?;
        match &at.expr {
            Expr::Literal(LiteralValue::Boolean(_)) => Ok(Kind::Flag),
            Expr::Literal(LiteralValue::Int(number)) => Ok(Kind::Number(*number.inner(), *number.inner())),
            Expr::Literal(LiteralValue::String(_)) => Ok(Kind::Text),
            Expr::Literal(_) => self.fault(at, "only whole numbers, texts, true and false may be written"),
            Expr::Ident(name) => self.named(at, name),
            Expr::List(list) => {
                if list.elements.len() > MAX_LITERAL_LIST {
                    return self.fault(at, format!("a list may have {MAX_LITERAL_LIST} entries"));
                }
                for element in &list.elements {
                    if !matches!(element.expr, Expr::Literal(LiteralValue::String(_))) {
                        return self
                            .fault(element, "a list may hold texts that are written there, nothing else");
                    }
                }
                self.spend(at, list.elements.len() as u64)?;
                Ok(Kind::Words(list.elements.len()))
            }
            Expr::Call(call) => self.call(at, call, depth),
            Expr::Comprehension(comprehension) => self.comprehension(at, comprehension, depth),
            Expr::Select(select) => self.fault(
                at,
                format!(
                    "a fact has no parts: `.{}`; the facts are plain names such as item_tier",
                    select.field
                ),
            ),
            Expr::Map(_) | Expr::Struct(_) | Expr::Unspecified => {
                self.fault(at, "maps and structures are not part of a condition")
            }
        }
    }

    fn spend(&mut self, at: &IdedExpr, steps: u64) -> Result<(), Fault> {
        self.steps = self.steps.saturating_add(steps.saturating_mul(self.weight));
        if self.steps > MAX_STEPS {
            return self
                .fault(at, format!("it may take more than {MAX_STEPS} steps: make several rules of it"));
        }
        Ok(())
    }

    fn named(&mut self, at: &IdedExpr, name: &str) -> Result<Kind, Fault> {
        if let Some((_, kind)) = self.bound.iter().rev().find(|(bound, _)| *bound == name) {
            return Ok(*kind);
        }
        let Some((place, fact)) = position(name).and_then(|place| Some((place, VOCABULARY.get(place)?)))
        else {
            let near = VOCABULARY.iter().map(|fact| fact.name).find(|known| {
                known.contains(name)
                    || name.contains(known)
                    || known.split('_').next() == name.split('_').next()
            });
            let near = near.map_or_else(String::new, |near| format!("; is {near} meant?"));
            return self.fault(at, format!("there is no fact {name:?}{near}"));
        };
        self.facts.insert(place);
        Ok(match fact.fact_type {
            FactType::Number(least, most) => Kind::Number(least, most),
            FactType::Flag => Kind::Flag,
            FactType::Text => Kind::Text,
            FactType::Words => {
                self.spend(at, MAX_WORDS as u64)?;
                Kind::Words(MAX_WORDS)
            }
        })
    }

    fn call(&mut self, at: &'a IdedExpr, call: &'a CallExpr, depth: u32) -> Result<Kind, Fault> {
        let mut operands = Vec::with_capacity(3);
        for operand in call.target.iter().map(AsRef::as_ref).chain(&call.args) {
            operands.push(self.kind(operand, depth + 1)?);
        }
        let name = call.func_name.as_str();
        if METHODS.contains(&name) && call.target.is_none() {
            return self.fault(at, format!("write it after the text: destination.{name}('XA')"));
        }
        let allowed = match (name, operands.as_slice()) {
            (operators::LOGICAL_AND | operators::LOGICAL_OR, [Kind::Flag, Kind::Flag])
            | (operators::LOGICAL_NOT | operators::NOT_STRICTLY_FALSE, [Kind::Flag])
            | ("startsWith" | "endsWith" | "contains", [Kind::Text, Kind::Text]) => Some(Kind::Flag),
            (operators::EQUALS | operators::NOT_EQUALS, [Kind::Words(left), Kind::Words(right)]) => {
                self.spend(at, *left.min(right) as u64)?;
                Some(Kind::Flag)
            }
            (operators::EQUALS | operators::NOT_EQUALS, [left, right]) if left.like(*right) => {
                Some(Kind::Flag)
            }
            (
                operators::LESS | operators::LESS_EQUALS | operators::GREATER | operators::GREATER_EQUALS,
                [Kind::Number(..), Kind::Number(..)],
            ) => Some(Kind::Flag),
            (operators::IN, [Kind::Text, Kind::Words(most)]) => {
                self.spend(at, *most as u64)?;
                Some(Kind::Flag)
            }
            ("size", [Kind::Words(most)]) => Some(Kind::Number(0, i64::try_from(*most).unwrap_or(i64::MAX))),
            (operators::CONDITIONAL, [Kind::Flag, Kind::Number(a, b), Kind::Number(c, d)]) => {
                Some(Kind::Number(*a.min(c), *b.max(d)))
            }
            (operators::CONDITIONAL, [Kind::Flag, Kind::Words(yes), Kind::Words(no)]) => {
                Some(Kind::Words(*yes.max(no)))
            }
            (operators::CONDITIONAL, [Kind::Flag, yes, no]) if yes.like(*no) => Some(*yes),
            (operators::NEGATE, [Kind::Number(a, b)]) => {
                Some(self.bounded(at, &[b.checked_neg(), a.checked_neg()])?)
            }
            (
                operators::ADD
                | operators::SUBSTRACT
                | operators::MULTIPLY
                | operators::DIVIDE
                | operators::MODULO,
                [left @ Kind::Number(..), right @ Kind::Number(..)],
            ) => Some(self.arithmetic(at, name, *left, *right)?),
            _ => None,
        };
        match allowed {
            Some(kind) => Ok(kind),
            None => {
                let of = operands.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(" and ");
                let shown = name.trim_matches(['_', '@']).replace("_?_:", "?:");
                self.fault(
                    at,
                    format!("{shown:?} cannot be used on {of}; see the list of what a condition may use"),
                )
            }
        }
    }

    fn arithmetic(&self, at: &IdedExpr, name: &str, left: Kind, right: Kind) -> Result<Kind, Fault> {
        let (Kind::Number(a, b), Kind::Number(c, d)) = (left, right) else {
            return self.fault(at, "arithmetic is for numbers");
        };
        match name {
            operators::ADD => self.bounded(at, &[a.checked_add(c), b.checked_add(d)]),
            operators::SUBSTRACT => self.bounded(at, &[a.checked_sub(d), b.checked_sub(c)]),
            operators::MULTIPLY => {
                self.bounded(at, &[a.checked_mul(c), a.checked_mul(d), b.checked_mul(c), b.checked_mul(d)])
            }
            _ if c != d || c == 0 => {
                self.fault(at, "division is only by a number that is written there and is not zero")
            }
            operators::DIVIDE => self.bounded(at, &[a.checked_div(c), b.checked_div(c)]),
            // The interpreter fails on the remainder of the smallest number by -1.
            _ if c == -1 || a == i64::MIN => self.fault(
                at,
                "a remainder is of a number above -9223372036854775808, and by one that is neither 0 nor -1",
            ),
            _ => {
                let most = c.checked_abs().map(|c| c - 1);
                self.bounded(at, &[most.map(|most| -most), most])
            }
        }
    }

    /// The bounds of a result from those that its extremes have.
    fn bounded(&self, at: &IdedExpr, extremes: &[Option<i64>]) -> Result<Kind, Fault> {
        let known: Option<Vec<i64>> = extremes.iter().copied().collect();
        match known.as_deref().map(|all| (all.iter().min(), all.iter().max())) {
            Some((Some(least), Some(most))) => Ok(Kind::Number(*least, *most)),
            _ => self.fault(at, "the result could be larger than any number; make the numbers smaller"),
        }
    }

    /// `list.exists(word, …)` and `list.all(word, …)`, as the parser writes them out.
    fn comprehension(
        &mut self,
        at: &'a IdedExpr,
        made: &'a ComprehensionExpr,
        depth: u32,
    ) -> Result<Kind, Fault> {
        if self.weight > 1 {
            return self.fault(at, "`exists` and `all` may not stand within one another");
        }
        let Kind::Words(most) = self.kind(&made.iter_range, depth + 1)? else {
            return self.fault(at, "`exists` and `all` go over a list of texts");
        };
        if made.iter_var2.is_some() || self.kind(&made.accu_init, depth + 1)? != Kind::Flag {
            return self.fault(at, "of the macros, a condition may use `exists` and `all` only");
        }
        if position(&made.iter_var).is_some() {
            return self
                .fault(at, format!("{} is a fact; give the entry of the list another name", made.iter_var));
        }
        self.bound.push((&made.iter_var, Kind::Text));
        self.bound.push((&made.accu_var, Kind::Flag));
        self.weight = (most as u64).max(2);
        let parts = [&made.loop_cond, &made.loop_step, &made.result].map(|part| self.kind(part, depth + 1));
        self.weight = 1;
        self.bound.clear();
        for part in parts {
            if part? != Kind::Flag {
                return self.fault(at, "what `exists` or `all` asks of each entry must be a yes or no");
            }
        }
        Ok(Kind::Flag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::risk::facts::FactValue;

    fn facts() -> Facts {
        let mut facts = Facts::default();
        facts.set("item_tier", FactValue::Number(1)).unwrap();
        facts.set("tips", FactValue::Number(3)).unwrap();
        facts.set("destination", FactValue::Text("XA".into())).unwrap();
        facts.set("destination_groups", FactValue::Words(vec!["D:1".into(), "D:5".into()])).unwrap();
        facts.set("end_user_registered", FactValue::Flag(false)).unwrap();
        facts
    }

    fn holds(source: &str) -> bool {
        let facts = facts();
        let environment = std::sync::Arc::new(cel::Env::stdlib());
        Condition::read(source).unwrap().holds(&context(&environment, &facts)).unwrap()
    }

    #[test]
    fn what_a_condition_may_say() {
        assert!(holds("item_tier == 1 && tips > 2"));
        assert!(holds("'D:5' in destination_groups"));
        assert!(holds("destination in ['XA', 'XB'] && !end_user_registered"));
        assert!(holds("destination_groups.exists(g, g.startsWith('D:'))"));
        assert!(!holds("destination_groups.all(g, g == 'D:5')"));
        assert!(holds("tips * 10 - 5 >= 25 && tips / 2 == 1 && tips % 2 == 1"));
        assert!(holds("(item_tier == 1 ? tips : 0) == 3 && size(destination_groups) == 2"));
        assert!(holds("-item_tier < 0"));
    }

    #[test]
    fn what_it_may_not_say_is_refused_with_its_line() {
        for (source, line, part) in [
            ("item_teir == 1", 1, "there is no fact \"item_teir\"; is item_tier meant?"),
            ("item_tier == 1 &&\n colour == 'red'", 2, "there is no fact \"colour\""),
            ("item_tier", 1, "must be a yes or no"),
            ("item_tier ==", 1, "not CEL"),
            ("tips / 0 == 1", 1, "not zero"),
            ("tips / item_tier == 1", 1, "written there"),
            ("tips % 0 == 1", 1, "not zero"),
            ("tips % -1 == 0", 1, "neither 0 nor -1"),
            ("-9223372036854775808 % 7 == 0", 1, "above -9223372036854775808"),
            ("startsWith(destination, 'X')", 1, "destination.startsWith('XA')"),
            ("contains(destination, 'X')", 1, "write it after the text"),
            ("tips * 9223372036854775807 > 0", 1, "larger than any number"),
            ("tips + 9223372036854775807 > 0", 1, "larger than any number"),
            ("item_tier == '1'", 1, "cannot be used on a number and a text"),
            ("destination.matches('(a+)+$')", 1, "cannot be used"),
            ("destination + destination == 'XAXA'", 1, "cannot be used"),
            ("destination_groups.map(g, g + g).size() > 0", 1, "`exists` and `all` only"),
            ("destination_groups.exists_one(g, g == 'D:5')", 1, "`exists` and `all` only"),
            ("transit.exists(a, destination_groups.exists(b, a == b))", 1, "within one another"),
            ("{'a': 1}.size() == 1", 1, "maps"),
            ("1.5 > 1.0", 1, "whole numbers"),
            ("item.tier == 1", 1, "no parts"),
            ("destination_groups.exists(tips, tips == 'a')", 1, "is a fact"),
            ("tips > 9223372036854775808", 1, "not CEL"),
        ] {
            let fault = Condition::read(source).expect_err(source);
            assert!(fault.message.contains(part), "{source}: {}", fault.message);
            assert_eq!(fault.line, line, "{source}: {}", fault.message);
        }
    }

    /// What a condition is said to cost.
    #[test]
    fn each_node_costs_what_it_may_take() {
        let words = MAX_WORDS as u64;
        for (source, steps) in [
            ("true", 1),
            ("item_tier == 1", 3),
            ("tips * 2 + 1 > 3", 7),
            ("end_user_registered && destination == 'XA'", 5),
            ("destination.startsWith('X')", 3),
            ("destination in ['XA', 'XB']", 3 + 2 + 2),
            ("'D:5' in destination_groups", 3 + words + words),
            ("size(destination_groups) == 2", 4 + words),
            ("transit == destination_groups", 3 + 2 * words + words),
            ("size(end_user_registered ? transit : ['a']) > 0", 7 + words + 1),
            // List, start value, then condition, step and result for each entry.
            ("transit.exists(g, g == 'a')", 1 + (1 + words) + 1 + words * (3 + 5 + 1)),
            (
                "transit.exists(g, g in destination_groups)",
                1 + (1 + words) + 1 + words * (3 + 5 + 2 * words + 1),
            ),
            ("['a', 'b'].all(g, g in transit)", 1 + 3 + 1 + 2 * (2 + 5 + 2 * words + 1)),
        ] {
            match Condition::read(source) {
                Ok(condition) => assert_eq!(condition.steps(), steps, "{source}"),
                Err(fault) => panic!("{source}: {}", fault.message),
            }
        }
    }

    #[test]
    fn a_choice_between_lists_is_as_long_as_the_longer_of_them() {
        let (short, long) = ("['a']", "transit");
        for (yes, no) in [(short, long), (long, short)] {
            let source = format!("(end_user_registered ? {yes} : {no}).all(g, g == 'a')");
            assert!(Condition::read(&source).unwrap().steps() > 9 * MAX_WORDS as u64, "{source}");
        }
    }

    #[test]
    fn what_explodes_is_refused_before_it_is_read_or_run() {
        let deep = format!("{}true{}", "(".repeat(400), ")".repeat(400));
        assert!(Condition::read(&deep).unwrap_err().message.contains("nested deeper"));
        let long = format!("item_tier == 1{}", " || item_tier == 1".repeat(1000));
        assert!(Condition::read(&long).unwrap_err().message.contains("bytes"));
        let nots = format!("{}end_user_registered", "!".repeat(900));
        assert!(Condition::read(&nots).is_err() || Condition::read(&nots).unwrap().steps() < MAX_STEPS);
        let list: Vec<String> = (0..200).map(|_| "''".to_owned()).collect();
        let many = format!("destination_groups.all(g, g in [{}])", list.join(","));
        assert!(Condition::read(&many).unwrap_err().message.contains("steps"));
        // Brackets in a text close nothing.
        let hidden = format!("{} item_tier == 1", "('))))' == '' || (".repeat(50));
        assert!(Condition::read(&hidden).unwrap_err().message.contains("nested deeper"));
        for raw in ["hs6 == r'\\'", "hs6 == \"\"\"a\"\"\""] {
            assert!(Condition::read(raw).unwrap_err().message.contains("single quotes"), "{raw}");
        }
        assert!(Condition::read(r"hs6 == 'it\'s (('").is_ok());
        let unclosed = "[".repeat(900);
        assert!(Condition::read(&unclosed).unwrap_err().message.contains("nested deeper"));
    }

    /// Whatever is read ends quickly, and never fails while its facts are known.
    #[test]
    fn no_condition_that_is_read_fails_or_takes_long() {
        let environment = std::sync::Arc::new(cel::Env::stdlib());
        let mut seed = 7_u64;
        let mut next = move |below: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from((seed >> 33) % below as u64).unwrap()
        };
        let atoms = [
            "item_tier",
            "tips",
            "destination",
            "destination_groups",
            "end_user_registered",
            "1",
            "0",
            "-7",
            "'D:1'",
            "true",
            "9223372036854775807",
            "['a','b']",
            "(",
            ")",
            "colour",
        ];
        let joints = [
            " == ",
            " && ",
            " || ",
            " + ",
            " * ",
            " / ",
            " % ",
            " - ",
            " < ",
            " in ",
            " != ",
            " ? ",
            " : ",
            ".exists(g, ",
            ".all(g, ",
            ".startsWith(",
            ")",
            "!",
            ".size()",
        ];
        let mut full = facts();
        for fact in VOCABULARY {
            let value = match fact.fact_type {
                FactType::Number(_, most) => FactValue::Number(most),
                FactType::Flag => FactValue::Flag(true),
                FactType::Text => FactValue::Text("x".repeat(64)),
                FactType::Words => FactValue::Words((0..MAX_WORDS).map(|n| format!("w{n}")).collect()),
            };
            full.set(fact.name, value).unwrap();
        }
        let context = context(&environment, &full);
        let mut read = 0;
        for _ in 0..4_000 {
            let mut source = atoms[next(atoms.len())].to_owned();
            for _ in 0..next(6) {
                source += joints[next(joints.len())];
                source += atoms[next(atoms.len())];
            }
            if let Ok(condition) = Condition::read(&source) {
                read += 1;
                let begun = std::time::Instant::now();
                condition.holds(&context).unwrap_or_else(|error| panic!("{source}: {error}"));
                assert!(begun.elapsed() < std::time::Duration::from_millis(200), "{source}");
            }
        }
        assert!(read > 20, "{read} of the random conditions were read");
    }
}
