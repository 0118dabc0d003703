//! What every database must keep, written once over the store's traits.
//!
//! A database joins by implementing [`Database`] in a file of its own under `contract/` and by one [`contract!`] line
//! there. Nothing here contains SQL: tasks come in by the intake's trait, acts by theirs, and everything is read back
//! the way the program reads it.

mod arrived;
mod clock;
mod daily;
mod instance;
mod letters;
mod office;
mod operator;
mod outcomes;
mod planning;
mod plans;
mod postgres;
mod reading;
mod sending;
mod sqlite;

use std::sync::Arc;

use dondoc::store::{Store, intake::IntakeStore};
use jiff::Timestamp;

/// A database the suite can be run on.
trait Database: Sized {
    /// Whether this machine has what it needs; where it has not, the suite passes by and has said so.
    fn is_here() -> bool {
        true
    }

    /// An empty one of its own, migrated.
    async fn fresh() -> Self;

    /// The same data through new connections, as after the process ended.
    async fn reopen(&mut self);

    fn store(&self) -> Arc<dyn Store>;

    fn intake(&self) -> &dyn IntakeStore;

    /// Sets the clock by which the database judges leases, where it has one of its own.
    async fn clock(&self, _now: Timestamp) {}
}

/// Makes a test of every property, on one database. A property missing from this list is an unused function, and that
/// is a warning.
macro_rules! contract {
    ($database:ty) => {
        crate::contract::contract!(@each tests $database);
    };
    (@each $what:ident $database:ty) => {
        crate::contract::contract!(@$what $database;
            planning: due_tasks_come_longest_waiting_first_and_only_open_unheld_ones,
            planning: a_page_of_open_tasks_goes_on_after_the_last_one,
            planning: a_plan_kept_twice_gives_each_reminder_once,
            planning: a_task_that_changed_since_it_was_read_is_left_alone,
            planning: changes_within_one_instant_make_a_plan_outdated_however_many_they_are,
            planning: plans_made_under_other_rules_take_away_the_mark_that_all_are_under_these,
            planning: everything_a_plan_says_is_kept_together,
            planning: a_notice_that_cannot_be_drawn_up_keeps_nothing_of_its_batch,
            planning: displaced_reminders_leave_no_empty_message,
            planning: what_is_being_sent_is_not_displaced,
            planning: what_is_pushed_is_looked_at_later_and_all_are_looked_at_when_the_rules_change,
            planning: a_page_looked_at_again_frees_what_waits_for_its_tasks_only,
            planning: policies_are_kept_when_they_change_and_found_by_the_day_they_held,
            planning: steps_are_known_since_they_were_accepted_last,
            planning: a_new_arming_is_under_no_rule_yet,
            planning: marks_are_set_changed_and_cleared,
            sending: a_reminder_becomes_ready_then_a_message_then_pending,
            sending: reminders_set_aside_wait_end_or_go_another_way,
            sending: a_message_whose_reminders_are_gone_is_not_made,
            sending: pending_messages_of_a_channel_come_in_the_order_of_their_moments,
            sending: two_claims_at_once_never_both_get_a_message,
            sending: each_claim_leaves_its_attempt_on_record_under_its_own_token,
            sending: the_gate_opens_only_for_what_was_composed,
            sending: the_gate_stays_shut_after_any_change,
            sending: the_gate_knows_a_lease_that_is_over_or_another_s,
            sending: a_message_postponed_waits_and_one_that_is_leased_does_not_move,
            arrived: a_letter_that_may_have_arrived_stays_named_when_one_of_its_tasks_becomes_a_secret,
            arrived: a_letter_that_may_have_arrived_and_told_of_a_secret_is_retried_in_one_that_names_it,
            arrived: what_was_in_hand_when_the_copy_was_taken_stays_named,
            arrived: a_repeat_that_is_not_needed_any_more_tells_of_no_secret,
            arrived: what_was_out_when_its_sender_stopped_is_not_repeated_where_the_first_had_arrived,
            arrived: a_refused_letter_goes_no_other_way_where_the_first_had_arrived,
            arrived: a_dead_letter_has_nothing_to_be_retried_for_where_the_first_had_arrived,
            arrived: a_refused_repeat_that_told_of_a_secret_is_retried_in_one_that_names_it,
            arrived: a_wiped_letter_whose_reminders_went_on_in_another_is_not_retried,
            outcomes: an_acceptance_is_recorded_by_its_own_token_whatever_the_lease,
            outcomes: an_acceptance_wins_over_what_was_decided_without_it,
            outcomes: an_acceptance_recorded_twice_counts_once,
            outcomes: an_outcome_under_a_foreign_token_changes_nothing,
            outcomes: a_refusal_for_now_is_composed_anew_and_a_lost_answer_keeps_its_bytes,
            outcomes: what_the_gate_refused_is_bundled_anew_without_what_is_over,
            outcomes: after_a_lost_answer_the_message_stays_unknown_and_the_new_one_names_it,
            outcomes: a_lost_answer_that_is_not_repeated_ends_unknown,
            outcomes: a_refused_recipient_leads_to_the_agency_s_box_under_its_own_key,
            outcomes: what_stands_in_for_a_refused_message_is_taken_back_when_that_is_retried,
            outcomes: what_a_relay_at_fault_had_refused_comes_back_with_the_outcome_that_shows_it,
            outcomes: who_is_reached_again_leaves_the_daily_list,
            outcomes: a_classified_message_that_is_refused_goes_nowhere_else,
            outcomes: what_may_have_arrived_stays_named_also_where_a_message_in_between_never_left,
            outcomes: a_message_in_doubt_that_is_retried_is_not_repeated_where_something_of_it_has_changed,
            outcomes: what_fell_silent_while_the_answer_was_out_was_sent_if_it_was_accepted_and_nothing_else,
            outcomes: what_was_accepted_after_all_does_not_go_again_in_a_message_that_names_it,
            outcomes: what_was_accepted_after_all_is_sent_however_many_messages_it_went_through,
            instance: the_generation_rises_and_is_kept,
            instance: an_identity_is_given_once_something_was_sent_under_it,
            instance: adopting_sets_aside_what_another_copy_may_have_sent_and_nothing_else,
            instance: the_last_state_is_adopted_without_setting_anything_aside,
            instance: what_the_first_scan_after_an_adoption_plans_late_is_set_aside,
            instance: what_waits_for_a_moment_after_the_other_copy_s_end_is_sent_whatever_the_first_scan_plans,
            letters: a_letter_is_there_from_its_gate_on_through_crashes_and_repeats_and_after_it_was_sent,
            letters: a_letter_goes_with_its_message_s_bytes_whoever_takes_them_away,
            letters: letters_of_unknown_fate_go_too_when_what_they_told_goes_on_in_another,
            operator: a_crash_before_the_hand_over_releases_and_one_after_it_keeps_the_bytes,
            operator: the_fifth_crash_of_a_message_is_its_last_handed_over_or_not,
            operator: a_crash_counts_against_one_that_went_alone_only_where_it_was_the_only_one_in_work,
            operator: rescue_leaves_alone_what_no_crash_touched,
            operator: what_could_not_leave_in_its_time_expires,
            operator: a_dead_message_is_retried_anew_and_an_unknown_one_with_its_bytes,
            operator: a_dead_message_of_which_an_answer_was_lost_is_retried_with_its_bytes,
            operator: an_unknown_message_that_was_retried_is_still_one_that_may_have_arrived,
            operator: a_message_given_up_suppresses_what_it_carried,
            operator: only_what_is_stuck_can_be_retried_and_only_what_rests_discarded,
            clock: a_confirmation_is_on_record_and_takes_back_what_a_wrong_clock_put_ahead,
            daily: a_day_and_an_address_have_one_list_however_often_it_is_made,
            daily: a_list_passes_its_gate_until_its_day_is_over_and_is_told_by_its_message,
            daily: whoever_is_unreachable_stands_on_the_list_while_the_duty_stands,
            daily: a_list_neither_keeps_nor_tells_what_became_a_secret_meanwhile,
            daily: a_list_that_was_in_hand_when_something_became_a_secret_is_empty_however_it_ends,
            reading: an_act_that_silences_does_so_in_its_own_transaction,
            reading: a_deadline_that_moves_takes_the_waiting_reminders_with_it,
            reading: counts_and_the_outbox_agree_with_what_was_done,
            reading: the_story_tells_what_came_of_each_reminder,
            reading: the_story_knows_when_each_thing_came_about,
            reading: the_urgings_of_a_task_are_its_urging_reminders_with_the_last_answer,
            reading: a_task_s_notices_are_its_own_in_the_order_of_filing_with_their_withdrawal,
            reading: a_message_is_found_by_its_number_and_by_every_message_id_it_ever_had,
            reading: the_directory_s_revision_rises_with_each_change,
            reading: an_agency_that_becomes_another_has_the_tasks_looked_at_anew,
            reading: overdue_tasks_of_an_agency_are_those_it_leads,
            reading: a_register_filed_from_several_sides_has_no_gap,
            reading: nothing_is_forgotten_when_the_process_ends,
        );
    };
    // One after the other, within another test.
    (@all $database:ty; $($subject:ident: $property:ident,)+) => {
        $( crate::contract::$subject::$property::<$database>().await; )+
    };
    (@tests $database:ty; $($subject:ident: $property:ident,)+) => {
        $(
            #[tokio::test]
            async fn $property() {
                if <$database as crate::contract::Database>::is_here() {
                    crate::contract::$subject::$property::<$database>().await;
                }
            }
        )+
    };
}
use contract;

/// Every property in turn.
async fn everything<D: Database>() {
    contract!(@each all D);
}

/// What the suite asks of SQLite.
pub async fn every_property() {
    everything::<sqlite::Sqlite>().await;
}
