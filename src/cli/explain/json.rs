//! The story as JSON: the documented fields, and the story's parts beside them.

use serde_json::{Value, json};

use crate::{
    cli::context::stamp,
    engine::{policy::Policy, story::Story},
    planning::task::{Clock, Role},
};

/// One task's story.
pub(super) fn of(policy: &Policy, story: &Story) -> Value {
    let at = |at| stamp(at, &policy.calendar);
    let lead =
        story.duties.iter().find(|duty| duty.role == Role::Lead && duty.clock == Clock::Completion && !duty.ended);
    let lead = lead.or(story.duties.first());
    let steps: Vec<Value> = story
        .rungs
        .iter()
        .map(|rung| {
            json!({
                "clock": rung.clock, "step": rung.step, "occurrence": rung.occurrence, "agency": rung.agency_code,
                "audience": rung.audience, "channel": rung.channel.as_str(), "at": at(rung.at),
                "arithmetic": rung.arithmetic, "state": rung.state, "reason": rung.reason, "rule": rung.rule,
                "arming": rung.arming, "to": rung.to, "urging": rung.urging, "files_notice": rung.files,
                "sent_at": rung.sent_at.map(at), "message": rung.message.map(|id| id.to_string()),
            })
        })
        .collect();
    let timeline: Vec<Value> =
        story.timeline.iter().map(|one| json!({ "at": at(one.at), "kind": one.kind, "text": one.text })).collect();
    let next: Vec<Value> = story
        .next
        .iter()
        .map(|one| {
            json!({
                "at": at(one.at), "clock": one.clock, "agency": one.agency, "rule": one.rule, "step": one.step,
                "occurrence": one.occurrence, "files_notice": one.files_notice, "to": one.to, "text": one.text,
            })
        })
        .collect();
    json!({
        "task": story.task,
        "rule": lead.and_then(|duty| duty.rule.clone()),
        "deadline": lead.and_then(|duty| duty.deadline).map(|day| day.to_string()),
        "effective_deadline": lead.and_then(|duty| duty.effective_deadline).map(|day| day.to_string()),
        "steps": steps,
        "as_of": at(story.as_of), "foreseen": story.foreseen, "state": story.state, "held": story.held,
        "classified": story.classified, "obligations": story.duties, "timeline": timeline, "next": next,
        "remarks": story.remarks,
    })
}
