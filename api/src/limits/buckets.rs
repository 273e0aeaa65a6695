//! The buckets that a process knows: a newcomer costs the same, however many there are.

use std::collections::HashMap;
use std::sync::Arc;

use store::QuotaSubject;

use super::{Bucket, Quota};

/// Buckets by subject.
pub(super) struct Buckets {
    by_subject: HashMap<QuotaSubject, Arc<Bucket>>,
    /// So many are kept without a look at them.
    room: usize,
    /// With so many, those that can be forgotten are.
    full_at: usize,
}

impl Buckets {
    pub(super) fn with_room(room: usize) -> Self {
        Self { by_subject: HashMap::new(), room, full_at: room }
    }

    pub(super) fn get(&self, subject: &QuotaSubject) -> Option<Arc<Bucket>> {
        self.by_subject.get(subject).cloned()
    }

    /// The bucket of a quota, which may be a new one.
    pub(super) fn get_or_add(&mut self, quota: &Quota) -> Arc<Bucket> {
        if self.full_at <= self.by_subject.len() {
            self.by_subject.retain(|_, it| !it.is_forgettable());
            // Everybody waits for this look at all of them. Where many have asked within the hour few can be forgotten, and a look for
            // each newcomer would be all that is done: so the next one is when there are twice as many.
            self.full_at = self.room.max(2 * self.by_subject.len());
        }
        Arc::clone(self.by_subject.entry(quota.subject).or_insert_with(|| Arc::new(Bucket::new(quota))))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Kind;
    use super::*;

    #[test]
    fn a_newcomer_among_many_does_not_have_all_of_them_looked_at() {
        let mut buckets = Buckets::with_room(10);
        let mut looked_at = 0;
        for number in 0..1000 {
            let (full_at, count) = (buckets.full_at, buckets.by_subject.len());
            let quota = Quota::new(1, Kind::Failures, &number.to_string(), 1000);
            let bucket = buckets.get_or_add(&quota);
            looked_at += if buckets.full_at == full_at { 0 } else { count };
            let known = buckets.get(&quota.subject).expect("it was added");
            assert!(Arc::ptr_eq(&bucket, &known), "there is one of each");
        }
        assert_eq!(buckets.by_subject.len(), 1000, "nobody's hour is over");
        assert_eq!(looked_at, 10 + 20 + 40 + 80 + 160 + 320 + 640);
    }
}
