-- An endpoint's messages are sent again by when they were made: for those of the last hour, all of its thirty days were read.
create index webhook_message_of on webhook_message (endpoint_id, created_at);
