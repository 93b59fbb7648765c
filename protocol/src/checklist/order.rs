//! The order in which questions can be decided: those that a skip rule looks at come first.

use std::collections::{BTreeMap, VecDeque};

use super::template::Question;
use super::words::QuestionId;

/// Positions in the list of questions.
pub(super) struct Order {
    /// Each after the questions that its skip rule looks at, otherwise as listed.
    pub sorted: Vec<usize>,
    /// Those whose rules lead back to themselves, or wait on such a one.
    pub stuck: Vec<usize>,
}

/// Sorts questions by what their skip rules look at. Rules about unknown questions wait on nothing.
pub(super) fn order(questions: &[Question]) -> Order {
    let places: BTreeMap<&QuestionId, usize> =
        questions.iter().enumerate().map(|(i, q)| (&q.id, i)).collect();
    let mut waits: Vec<usize> = Vec::with_capacity(questions.len());
    let mut followers: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (place, question) in questions.iter().enumerate() {
        let needs = needs(question, &places);
        waits.push(needs.len());
        for need in needs {
            followers.entry(need).or_default().push(place);
        }
    }
    let mut ready: VecDeque<usize> =
        waits.iter().enumerate().filter(|(_, waits)| **waits == 0).map(|(place, _)| place).collect();
    let mut sorted = Vec::with_capacity(questions.len());
    while let Some(place) = ready.pop_front() {
        sorted.push(place);
        for follower in followers.get(&place).into_iter().flatten() {
            if let Some(count) = waits.get_mut(*follower) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    ready.push_back(*follower);
                }
            }
        }
    }
    let stuck = waits.iter().enumerate().filter(|(_, waits)| **waits > 0).map(|(place, _)| place).collect();
    Order { sorted, stuck }
}

fn needs(question: &Question, places: &BTreeMap<&QuestionId, usize>) -> Vec<usize> {
    let named = question.ask_when.iter().flat_map(|rule| rule.questions());
    let mut needs: Vec<usize> = named.filter_map(|id| places.get(id).copied()).collect();
    needs.sort_unstable();
    needs.dedup();
    needs
}

/// One cycle among the skip rules, as the questions on it, if there is any.
pub(super) fn cycle(questions: &[Question]) -> Option<Vec<&QuestionId>> {
    let places: BTreeMap<&QuestionId, usize> =
        questions.iter().enumerate().map(|(i, q)| (&q.id, i)).collect();
    let stuck = order(questions).stuck;
    let mut path: Vec<usize> = vec![*stuck.first()?];
    loop {
        let question = questions.get(*path.last()?)?;
        let next = needs(question, &places).into_iter().find(|place| stuck.contains(place))?;
        if let Some(start) = path.iter().position(|place| *place == next) {
            return Some(path.iter().skip(start).filter_map(|p| questions.get(*p)).map(|q| &q.id).collect());
        }
        path.push(next);
    }
}
