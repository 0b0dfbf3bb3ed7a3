//! The one list of behaviours, each with what it asks of a driver beyond the usual. A function that is missing here fails
//! `tests/it/list.rs`.

use super::{Behaviour, Need};

macro_rules! behaviours {
    ($($module:ident { $($name:ident $(: $($need:ident)&+)?)* })*) => {
        /// Every behaviour.
        pub const BEHAVIOURS: &[Behaviour] = &[$($(Behaviour {
            name: concat!(stringify!($module), "::", stringify!($name)),
            needs: &[$($(Need::$need),+)?],
            run: super::$module::$name,
        },)*)*];
    };
}

behaviours! {
    pushing {
        a_pushed_job_is_reserved_and_deleted
        a_job_pushed_by_one_worker_is_reserved_by_another
        push_many_keeps_order_and_counts
        pushing_many_of_nothing_stores_nothing
        thousands_pushed_at_once_arrive_in_order
        ready_and_delayed_jobs_may_be_pushed_together: Clock
        a_batch_for_several_queues_keeps_the_order_of_each
        a_batch_may_hold_delayed_jobs: Clock
        a_payload_arrives_byte_for_byte
    }
    reserving {
        ready_jobs_come_first_in_first_out
        the_first_queue_that_has_a_job_is_served
        one_call_serves_one_queue
        no_more_than_asked_for_is_taken
        no_queues_and_unknown_queues_give_nothing
        a_reserved_job_is_not_handed_out_again
        a_reservation_tells_its_queue_attempt_and_second
        a_pushed_number_is_the_number_of_the_reservation
    }
    clocks {
        a_delayed_job_is_due_exactly_at_its_second: Clock
        a_job_due_at_a_second_comes_at_that_second: Clock
        delays_of_zero_or_less_and_past_seconds_are_due_at_once: Clock
        delayed_jobs_come_in_the_order_of_their_seconds: Clock
        the_latest_second_there_is_can_be_waited_for: Clock
        hundreds_of_jobs_due_at_once_all_come: Clock
        without_a_fixed_second_the_brokers_own_clock_counts
    }
    leases {
        an_expired_reservation_comes_back_with_one_more_attempt: Leases
        a_reservation_lasts_until_retry_after_and_no_longer: Leases
        without_retry_after_a_reservation_lasts_for_ever
        extend_keeps_a_job_beyond_retry_after: Leases
        an_extended_job_is_settled_by_the_same_claim: Leases
        extending_a_settled_job_is_lost: Leases
        extending_after_a_takeover_is_lost_and_leaves_the_new_lease_alone: Leases
        extend_answers_each_claim_in_order: Leases
        extending_nothing_is_fine
        a_left_job_stays_reserved_and_comes_back_after_retry_after: Clock
        hundreds_of_reservations_that_expire_at_once_all_come_back: Leases
    }
    batches {
        fresh_jobs_share_a_batch
        a_job_with_one_try_is_reserved_alone: MaxTries
        a_batch_ends_before_a_job_that_stands_alone: MaxTries
        a_released_job_is_reserved_alone
        an_expired_batch_comes_back_one_by_one: Leases
    }
    giving_back {
        giving_back_restores_bytes_order_and_attempts_at_the_head: HeadOfQueue
        giving_back_burns_no_attempt_of_a_job_that_was_tried
        giving_back_goes_ahead_of_jobs_pushed_meanwhile: HeadOfQueue
        poison_is_given_back_with_its_bytes: HeadOfQueue & AnyBytes
        giving_back_after_a_takeover_is_lost_and_changes_nothing: Leases
        of_a_batch_given_back_only_what_is_still_ours_returns
    }
    settling {
        a_released_job_keeps_its_attempts_and_returns_after_its_delay: Clock
        a_job_released_without_delay_is_ready_at_once
        a_released_job_goes_behind_the_ready_ones
        a_second_settle_of_a_claim_is_lost
        a_claim_named_twice_in_a_batch_is_settled_once
        a_repeated_batch_is_lost_as_a_whole
        a_batch_over_several_queues_answers_in_order
        settling_nothing_is_fine
        a_thousand_jobs_are_settled_in_one_batch
        one_job_may_be_settled_by_a_worker_other_than_its_reserver: Leases
    }
    fencing {
        a_stale_delete_is_lost_and_changes_nothing: Leases
        a_stale_release_is_lost_and_changes_nothing: Leases
        a_stale_burial_is_lost_and_changes_nothing: Leases
        a_stale_leave_is_lost_and_changes_nothing: Leases
        a_stale_settle_stays_lost_after_the_job_is_gone: Leases
        a_stale_settle_does_not_spoil_the_rest_of_its_batch: Leases
        a_late_delete_counts_while_nobody_took_the_job_over: Leases
        of_two_workers_one_gets_the_expired_job: Leases
    }
    burying {
        a_buried_job_lies_whole_in_the_failed_store
        every_reason_is_kept
        failed_jobs_come_newest_first_and_in_pages
        failed_jobs_of_a_batch_each_have_their_own_record
        queues_have_failed_jobs_of_their_own
        a_broker_told_to_discard_keeps_no_failed_job: Discard
    }
    retrying {
        a_retried_job_is_ready_again_and_was_never_tried
        a_job_that_was_tried_often_begins_anew: Clock
        retried_jobs_go_behind_the_ready_ones_in_the_order_in_which_they_failed
        poison_is_retried_with_its_bytes: AnyBytes
        a_job_that_is_not_failed_any_more_is_neither_retried_nor_forgotten
        a_job_named_twice_is_retried_once
        a_forgotten_job_is_gone_and_the_others_stay
        failed_jobs_of_another_queue_are_left_alone
        jobs_of_a_class_are_retried_and_forgotten_among_many_others
        hundreds_of_failed_jobs_are_retried_in_one_call
        a_failed_job_is_found_by_its_id
        a_job_that_fails_again_while_others_are_retried_is_retried_once
        looks_in_a_row_and_at_once_see_every_failed_job
        of_several_who_retry_at_once_one_gets_each_job
    }
    identity {
        a_failed_job_is_known_by_the_id_in_its_payload
        a_failed_job_is_forgotten_by_the_id_in_its_payload
        a_failed_job_without_an_id_is_known_by_one_of_the_store
        what_a_push_returned_names_the_failed_job
    }
    poison {
        poison_is_reserved_without_a_count_and_buried_raw: AnyBytes
        poison_comes_back_when_its_worker_dies: Leases
        poison_does_not_stop_its_neighbours: AnyBytes
        a_job_of_a_mebibyte_arrives_whole
        raising_attempts_leaves_every_other_byte
        awkward_data_survives_every_attempt
    }
    twins {
        twins_are_both_done
        a_twin_does_not_hide_the_jobs_behind_it_for_ever
        released_twins_do_not_merge: Clock
        twins_given_back_are_still_two
        twins_whose_worker_died_both_come_back: Leases
        buried_twins_are_two_failed_jobs
        poison_twins_are_both_done
    }
    queue_names {
        awkward_queue_names_carry_jobs
        names_shaped_like_our_keys_do_not_mix: EndMarks
        a_claim_settles_in_its_own_queue_only
    }
    operators {
        sizes_follow_a_job_through_its_states: Clock
        clear_removes_all_but_the_failed_jobs: AllStates
        peek_shows_each_state_next_first_and_changes_nothing: AllStates
        a_queue_nobody_used_is_empty
    }
    fleets {
        a_fleet_that_nobody_asked_for_anything_has_no_flags: Control
        a_paused_queue_is_flagged_until_it_is_resumed: Control
        an_order_is_seen_by_every_worker_and_counts_up: Control
        workers_are_listed_while_they_report: Control
        flags_are_no_jobs: Control
    }
    statuses {
        nothing_is_known_of_a_job_that_nobody_spoke_of: Statuses
        a_job_is_followed_from_its_push_to_its_end: Statuses
        every_word_is_admitted_as_the_rule_says: Statuses
        a_late_word_changes_nothing: Statuses
        a_status_goes_after_its_time_and_every_word_begins_it_anew: Statuses
        thousands_of_words_arrive_together_and_in_order: Statuses
        texts_of_every_kind_and_of_the_longest_length_are_kept: Statuses
        statuses_are_no_jobs: Statuses
        work_is_claimed_once_and_done_once: Statuses
        work_done_without_a_result_or_with_an_empty_one_is_told_apart: Statuses
        a_claim_lapses_with_its_lease_and_not_before: Statuses
        a_late_completion_counts_while_nobody_else_claimed_the_work: Statuses
        work_that_was_given_up_or_forgotten_is_claimed_again: Statuses
        what_is_done_is_remembered_for_its_time: Statuses
        of_many_who_claim_at_once_one_gets_the_work: Statuses
        without_a_fixed_second_statuses_and_claims_follow_the_brokers_clock: Statuses
        statuses_and_claims_outlast_killed_connections: Statuses
    }
    waiting {
        a_waiting_worker_gets_what_another_pushes
        a_worker_waits_for_all_its_queues
        a_wait_for_nothing_ends_after_its_time
        no_wait_is_longer_than_a_second
        a_job_that_is_there_is_not_waited_for
        a_waiting_worker_delays_none_of_its_other_threads
    }
    connections {
        every_word_works_after_its_connection_was_killed
        a_closed_broker_opens_again_at_the_next_word
        a_storm_of_killed_connections_loses_and_doubles_nothing: Leases
    }
    crowds {
        five_thousand_jobs_reach_one_worker_each
        all_who_meet_at_a_store_that_nobody_used_yet_get_in
        one_broker_serves_many_threads
    }
}
