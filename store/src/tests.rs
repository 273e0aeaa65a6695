mod committer;
mod corruption;
mod fixture;
mod migrations;
mod receipts;
mod sweep;
