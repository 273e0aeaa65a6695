-- Whose an event was that came over HTTP: the partner for whom it was sent. A partner is shown what it sent itself. Of apps and
-- of Kafka it is nobody's.
alter table rejected_event
    add column partner_id text,
    add constraint rejected_event_partner_fk foreign key (program_id, partner_id) references partner;

-- An event that waits is rejected later, perhaps, and is that partner's still.
alter table parked_event
    add column partner_id text,
    add constraint parked_event_partner_fk foreign key (program_id, partner_id) references partner;

-- The same bytes of two partners are kept for each of them, else the second would not be shown its own.
drop index rejected_event_once;
create unique index rejected_event_once on rejected_event (program_id, reason, sha256(payload), partner_id) nulls not distinct;
create index rejected_event_by_partner on rejected_event (program_id, partner_id, rejected_event_id) where partner_id is not null;
