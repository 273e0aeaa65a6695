-- An endpoint's messages are sent again by when they were made: for those of the last hour, all of its thirty days were read.
create index webhook_message_of on webhook_message (endpoint_id, created_at);

-- What waits for a review is listed in the order of the log: neither the holds nor the postings told which those are without a look at
-- all of them.
create index posting_for_review on posting (program_id, leaf_index)
    where kind = 7 and reason = 'screening: held for review';
