mod committer;
mod corruption;
mod fixture;
mod migrations;
mod reads;
mod receipts;
mod world;
