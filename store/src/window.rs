//! A sliding window: how much was used in the last hour, and how much of a quota is left. Pure: the slice is passed in.
//!
//! The hour is cut into sixty slices. What overlaps the hour is counted whole, so within no hour, wherever it begins, is more
//! allowed than the quota: at most a slice's worth less.

/// How many slices a window has.
pub const SLICES: usize = 60;
/// How long a slice is.
pub const SLICE_S: i64 = 60;
/// The current slice, those that lie in the hour, and the one that its beginning cuts.
const KEPT: usize = SLICES + 1;

/// What was used, by slice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    newest: i64,
    /// By slice modulo their number.
    used: [u32; KEPT],
}

/// What a booking came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Booked {
    /// How much may be used until the slice ends.
    pub lease: u32,
    /// How much is left after that.
    pub left: u64,
    /// After how many slices something is free again.
    pub frees_in: u32,
    /// After how many slices as much is free as was wanted whole, where that was more than was left.
    pub fits_in: Option<u32>,
}

impl Window {
    /// Nothing was used.
    pub fn new(slice: i64) -> Self {
        Self { newest: slice, used: [0; KEPT] }
    }

    /// As it is stored.
    pub(crate) fn read(newest: i64, bytes: &[u8]) -> Option<Self> {
        let (chunks, []) = bytes.as_chunks::<4>() else { return None };
        let used: Vec<u32> = chunks.iter().map(|it| u32::from_le_bytes(*it)).collect();
        Some(Self { newest, used: used.try_into().ok()? })
    }

    pub(crate) fn write(&self) -> (i64, Vec<u8>) {
        (self.newest, self.used.iter().flat_map(|it| it.to_le_bytes()).collect())
    }

    /// Books what was used already, gives back what was leased in an earlier slice and not used, and leases at most `wish`, or an
    /// eighth of what is left, so that several who share the quota do not take it from each other. What is wanted `whole` is
    /// leased where it is left, and no part of it where it is not.
    pub fn book(
        &mut self,
        slice: i64,
        limit: u64,
        used: u32,
        returned: (i64, u32),
        wish: u32,
        whole: u32,
    ) -> Booked {
        self.advance(slice);
        if let Some(slot) = self.slot(returned.0) {
            self.used[slot] = self.used[slot].saturating_sub(returned.1);
        }
        let now = place(self.newest);
        self.used[now] = self.used[now].saturating_add(used);
        let left = limit.saturating_sub(self.sum());
        let lease = u64::from(wish).min(if left == 0 { 0 } else { (left / 8).max(1) }) as u32;
        let fits = u64::from(whole) <= left;
        let lease = if fits { lease.max(whole) } else { lease };
        let lacks = (self.sum() + u64::from(whole)).saturating_sub(limit);
        self.used[now] = self.used[now].saturating_add(lease);
        Booked {
            lease,
            left: left - u64::from(lease),
            frees_in: self.frees_in(1),
            fits_in: (!fits).then(|| self.frees_in(lacks)),
        }
    }

    fn advance(&mut self, slice: i64) {
        // A clock that went back changes nothing: the newest slice goes on.
        let slice = slice.max(self.newest);
        for it in (self.newest + 1).max(slice - KEPT as i64 + 1)..=slice {
            self.used[place(it)] = 0;
        }
        self.newest = slice;
    }

    fn slot(&self, slice: i64) -> Option<usize> {
        (self.newest < slice + KEPT as i64 && slice <= self.newest).then(|| place(slice))
    }

    fn sum(&self) -> u64 {
        self.used.iter().map(|it| u64::from(*it)).sum()
    }

    /// After how many slices so much of what was used is free again.
    fn frees_in(&self, wanted: u64) -> u32 {
        let mut freed = 0;
        let enough = (0..KEPT as i64).rev().find(|age| {
            freed += u64::from(self.used[place(self.newest - age)]);
            wanted <= freed
        });
        enough.map_or(0, |age| KEPT as u32 - age as u32)
    }
}

fn place(slice: i64) -> usize {
    slice.rem_euclid(KEPT as i64) as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_window_slides_and_no_edge_gives_twice() {
        let mut window = Window::new(100);
        assert_eq!(window.book(100, 8, 0, (0, 0), 8, 0).lease, 1, "one at a time where little is left");
        let mut given = 1;
        while window.book(100, 8, 0, (0, 0), 8, 0).lease == 1 {
            given += 1;
        }
        assert_eq!(given, 8);
        for slice in 101..=160 {
            let booked = window.book(slice, 8, 0, (0, 0), 8, 0);
            assert_eq!((booked.lease, booked.frees_in), (0, (161 - slice) as u32), "slice {slice}");
        }
        assert_eq!(window.book(161, 8, 0, (0, 0), 8, 0).lease, 1);
        let (newest, bytes) = window.write();
        assert_eq!(Window::read(newest, &bytes), Some(window));
        assert_eq!(Window::read(0, &[0; 3]), None);
    }

    #[test]
    fn what_was_not_used_comes_back() {
        let mut window = Window::new(5);
        let lease = window.book(5, 80, 0, (0, 0), 100, 0).lease;
        assert_eq!(lease, 10);
        let booked = window.book(6, 80, 0, (5, 7), 0, 0);
        assert_eq!((booked.lease, booked.left), (0, 77));
        // Of a slice that is long gone there is nothing to give back.
        assert_eq!(window.book(90, 80, 0, (6, 7), 0, 0).left, 80);
    }

    #[test]
    fn what_is_wanted_whole_is_given_whole_or_it_is_said_when() {
        let mut window = Window::new(100);
        assert_eq!(window.book(100, 80, 30, (0, 0), 0, 0).left, 50);
        assert_eq!(window.book(110, 80, 20, (0, 0), 0, 0).left, 30);
        let all = window.clone().book(120, 80, 0, (0, 0), 8, 30);
        assert_eq!((all.lease, all.left, all.fits_in), (30, 0, None));
        // The thirty of slice 100 are free at 161, the twenty of slice 110 at 171.
        let more = |window: &Window, whole| window.clone().book(120, 80, 0, (0, 0), 0, whole);
        for (whole, fits_in) in [(31, 41), (60, 41), (61, 51), (80, 51)] {
            let booked = more(&window, whole);
            assert_eq!((booked.lease, booked.left, booked.fits_in), (0, 30, Some(fits_in)), "{whole}");
            let later = window.clone().book(120 + i64::from(fits_in), 80, 0, (0, 0), 0, whole);
            assert_eq!((later.lease, later.fits_in), (whole, None), "{whole}");
            let early = window.clone().book(119 + i64::from(fits_in), 80, 0, (0, 0), 0, whole);
            assert_eq!(early.lease, 0, "{whole}");
        }
    }

    proptest! {
        // Whatever is asked and whenever: in no hour is more given than the limit.
        #[test]
        fn no_hour_has_more_than_its_limit(
            limit in 1_u64..200,
            asks in prop::collection::vec((0_i64..30, 0_u32..40, 0_u32..40), 1..200),
        ) {
            let (mut window, mut slice, mut given) = (Window::new(0), 0, Vec::new());
            for (pause, wish, whole) in asks {
                slice += pause;
                given.push((slice, window.book(slice, limit, 0, (0, 0), wish, whole).lease));
            }
            for (first, _) in &given {
                let hour = given.iter().filter(|it| (*first..=first + SLICES as i64).contains(&it.0));
                let sum: u64 = hour.map(|it| u64::from(it.1)).sum();
                prop_assert!(sum <= limit, "{sum} from {first} on");
            }
        }
    }
}
