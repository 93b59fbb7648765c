//! What is missing, in English sentences: what, where, and the command that mends it.

use super::evaluate::Need;
use super::freeze::ChecklistItem;
use super::template::Question;

/// One sentence about one need.
pub(super) fn missing(need: &Need, question: Option<&Question>, item: Option<&ChecklistItem>) -> String {
    let place = match (question, item) {
        (Some(question), Some(item)) => format!("{} of item {}", question.label(), item.label()),
        (Some(question), None) => question.label(),
        (None, Some(item)) => format!("item {} ({})", item.label(), item.description),
        (None, None) => "the visit".to_owned(),
    };
    let question_name = question.map(|q| q.id.to_string()).unwrap_or_default();
    let item_name = item.map(|i| i.id.to_string()).unwrap_or_default();
    let question_flag = question.map(|q| format!(" --question {}", q.id)).unwrap_or_default();
    let item_flag = item.map(|i| format!(" --item {}", i.id)).unwrap_or_default();
    match need {
        Need::Answer => {
            let skip = question.is_some_and(|q| !q.skip_reasons.is_empty());
            let or_skip = if skip { ", or skip it with a reason" } else { "" };
            format!("{place} is not answered: `endcheck answer {question_name} VALUE{item_flag}`{or_skip}")
        }
        Need::SoundAnswer { wrong } => {
            format!("{place}: {wrong}; answer again: `endcheck answer {question_name} VALUE{item_flag}`")
        }
        Need::Evidence { kind, purpose, at_least, held } => {
            let kind = kind.as_str();
            let count = if *at_least == 1 { String::new() } else { format!(" ({held} of {at_least} held)") };
            let command = match kind {
                "statement" => "`endcheck statement`".to_owned(),
                _ => format!("`endcheck capture{question_flag}{item_flag} --purpose {purpose} FILE`"),
            };
            format!("{place}: a {kind} of {purpose} is missing{count}: {command}")
        }
        Need::ItemStatus => {
            format!(
                "{place} has no recorded status: `endcheck item {item_name} STATUS`, as sighted, absent or otherwise"
            )
        }
        Need::Denial => {
            "the visit ends in a denial, but who denied access, when and in which words is not recorded: \
             `endcheck denied`"
                .to_owned()
        }
    }
}
