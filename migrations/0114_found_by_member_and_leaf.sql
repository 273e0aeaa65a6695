-- A check of the books asks of each item of an outcome whether its leaf is an act that erased an account, and so does whoever
-- forgets an outcome: all erasures were gone through each time.
create index erasure_by_leaf on erasure (leaf_index);
