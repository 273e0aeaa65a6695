-- The house's accounts are read at each start and after each settlement, while batches wait: a few rows, for which all members' accounts
-- were gone through.
create index account_of_house on account (account_id) where kind <> 1;
