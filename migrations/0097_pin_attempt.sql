-- When the last pin was signed is asked in each round, and pins are few among transactions.
create index anchor_attempt_pin on anchor_attempt (chain_id, contract, registrant, anchor_attempt_id) where extends = size;
