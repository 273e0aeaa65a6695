mod committer;
mod corruption;
mod fixture;
mod receipts;
