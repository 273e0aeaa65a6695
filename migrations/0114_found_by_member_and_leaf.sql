-- A check of the books asks of each item of an outcome whether its leaf is an act that erased an account, and so does whoever
-- forgets an outcome: all erasures were gone through each time.
create index erasure_by_leaf on erasure (leaf_index);

-- What is held about a member is exported and erased, in time that does not grow with the number of members.
create index member_session_by_member on member_session (program_id, member);
create index credit_reference_by_member on credit_reference (program_id, member_id);
create index gateway_burn_by_member on gateway_burn (member_id) where member_id is not null;
create index webhook_message_by_leaf on webhook_message (leaf_index);
