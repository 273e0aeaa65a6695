-- Which program a sandbox is for: what a partner has shown there counts before it goes live here.
alter table program
    add column sandbox_of smallint,
    add constraint program_sandbox_of_fk foreign key (sandbox_of) references program,
    add constraint program_has_one_sandbox unique (sandbox_of),
    add constraint program_sandbox_is_one check (sandbox_of is null or (is_sandbox and sandbox_of <> program_id));

alter function grant_to_app() rename to grant_before_sandboxes_to_app;

create function grant_to_app() returns void language plpgsql as $$
begin
    perform grant_before_sandboxes_to_app();
    grant update (sandbox_of) on program to daftari_app;
end
$$;

revoke execute on function grant_to_app() from public;
