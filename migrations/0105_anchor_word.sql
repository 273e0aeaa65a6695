-- What operators have said about places, each word with who said it, when and why. How a place stands is in anchor_order; these
-- rows say how it came to that. They are no acts of the log: a place belongs to no program, and must be paused while the log
-- takes no leaf.

create table anchor_word (
    anchor_word_id bigint      not null generated always as identity,
    chain_id       bigint      not null,
    contract       bytea       not null,
    registrant     bytea       not null,
    word           text        not null,
    actor          text        not null,
    why            text,
    said_at        timestamptz not null default clock_timestamp(),
    constraint anchor_word_pk primary key (anchor_word_id),
    constraint anchor_word_known check (word in ('pause', 'resume', 'force'))
);

create trigger anchor_word_is_append_only before update or delete or truncate on anchor_word
    for each statement execute function refuse_change();

alter function grant_to_app() rename to grant_before_anchor_words_to_app;

create function grant_to_app() returns void language plpgsql as $$
begin
    perform grant_before_anchor_words_to_app();
    grant select, insert on anchor_word to daftari_app;
end
$$;

revoke execute on function grant_to_app() from public;
