-- An event of Kafka that earned may hold bytes that are not UTF-8, in a field that nobody reads. One such row must not end
-- every report that looks at it. The function is called with the rights of whoever asks, and looks at its argument only.
create function reporting.event_text(payload bytea) returns text
    language plpgsql immutable strict
    as $$
begin
    return convert_from(payload, 'UTF8');
exception
    when character_not_in_repertoire or untranslatable_character then
        return null;
end
$$;

create or replace view reporting."LoyaltyTransaction" with (security_barrier) as
select movement.posting_id as "TransactionId",
    movement.member_id as "PlayerId",
    -- What the event calls itself, as other systems know the wager or the purchase; null where no event caused it, or one
    -- that PostgreSQL does not read as JSON.
    (
        select case when pg_input_is_valid(payload, 'jsonb') then payload::jsonb ->> 'event_id' end
        from (
            select reporting.event_text(event.payload) as payload
            from event
            where event.leaf_index = movement.leaf_index
        ) as told
    ) as "WagerId",
    movement.program as "OperatorId",
    ((available_change + held_change + pending_change) / 10.0 ^ scale)::numeric(18, 2) as "PointsEarned",
    movement.effective_at as "Timestamp",
    -- The place in the log. A topic's offset begins anew with its topic; this one never does.
    movement.leaf_index as "EventOffset"
from reporting.movement
where movement.unit = 1;
