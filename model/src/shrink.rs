//! A failing list made short.

/// The shortest list that this finds to fail still: parts are left out, larger ones first, as long as it does.
pub fn shrink<T: Clone>(mut steps: Vec<T>, fails: impl Fn(&[T]) -> bool) -> Vec<T> {
    let mut part = steps.len() / 2;
    while 0 < part {
        let mut at = 0;
        while at < steps.len() {
            let end = (at + part).min(steps.len());
            let without = [&steps[..at], &steps[end..]].concat();
            if fails(&without) { steps = without } else { at = end }
        }
        part /= 2;
    }
    steps
}
