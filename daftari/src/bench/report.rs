//! What a benchmark says: a table for people, one JSON object for programs.

use std::fmt::Write;
use std::time::Instant;

use anyhow::Context;
use serde_json::{Map, Value, json};

/// One benchmark's figures, and the goals that they are held against.
pub(super) struct Report {
    bench: &'static str,
    seed: u64,
    settings: Map<String, Value>,
    figures: Vec<(String, f64, &'static str)>,
    goals: Vec<(String, String, bool)>,
    found: Option<String>,
}

impl Report {
    pub(super) fn new(bench: &'static str, seed: u64) -> Self {
        Self { bench, seed, settings: Map::new(), figures: Vec::new(), goals: Vec::new(), found: None }
    }

    /// Says how it was measured.
    pub(super) fn setting(&mut self, name: &str, value: impl Into<Value>) {
        self.settings.insert(name.to_owned(), value.into());
    }

    pub(super) fn figure(&mut self, name: &str, value: f64, unit: &'static str) {
        self.figures.push((name.to_owned(), value, unit));
    }

    /// A figure that is to be at least this much.
    pub(super) fn figure_at_least(&mut self, name: &str, value: f64, unit: &'static str, goal: f64) {
        self.figure(name, value, unit);
        self.goals.push((name.to_owned(), format!("≥ {goal}"), goal <= value));
    }

    /// A figure that is to be at most this much.
    pub(super) fn figure_at_most(&mut self, name: &str, value: f64, unit: &'static str, goal: f64) {
        self.figure(name, value, unit);
        self.goals.push((name.to_owned(), format!("≤ {goal}"), value <= goal));
    }

    /// Says what was found that must not be, which fails the run once it has reported.
    pub(super) fn found(&mut self, found: Option<String>) {
        self.found = found;
    }

    /// What was found that must not be.
    pub(super) fn verdict(&self) -> anyhow::Result<()> {
        self.found.as_ref().map_or(Ok(()), |found| anyhow::bail!("seed {}: {found}", self.seed))
    }

    /// An error that names each figure that misses its goal; a figure that is no number meets none.
    pub(super) fn held_to_goals(&self) -> anyhow::Result<()> {
        let missed = self.goals.iter().filter(|(_, _, is_met)| !is_met).map(|(name, goal, _)| {
            let value = self.figures.iter().find(|it| it.0 == *name).map_or(f64::NAN, |it| it.1);
            format!("{name} is {value:.3} (goal {goal})")
        });
        let missed: Vec<String> = missed.collect();
        anyhow::ensure!(missed.is_empty(), "{} missed: {}", self.bench, missed.join(", "));
        Ok(())
    }

    pub(super) fn to_json(&self) -> String {
        let figures: Map<_, _> =
            self.figures.iter().map(|(name, value, _)| (name.clone(), json!(value))).collect();
        let goals: Map<_, _> = self
            .goals
            .iter()
            .map(|(name, goal, met)| (name.clone(), json!({"goal": goal, "met": met})))
            .collect();
        json!({
            "bench": self.bench,
            "seed": self.seed,
            "machine": machine(),
            "settings": self.settings,
            "figures": figures,
            "goals": goals,
        })
        .to_string()
    }

    pub(super) fn to_table(&self) -> String {
        let mut table = format!("{} on {}, seed {}\n", self.bench, machine(), self.seed);
        for (name, value) in &self.settings {
            let _ = writeln!(table, "  {name}: {}", value.as_str().map_or(value.to_string(), str::to_owned));
        }
        for (name, value, unit) in &self.figures {
            let digits = if value.abs() < 100.0 { 2 } else { 0 };
            let _ = write!(table, "  {name:<32} {value:>12.digits$} {unit}");
            if let Some((_, goal, met)) = self.goals.iter().find(|it| it.0 == *name) {
                let _ = write!(table, "   goal {goal}: {}", if *met { "met" } else { "missed" });
            }
            table.push('\n');
        }
        table
    }
}

/// How long something took, each time that it happened.
#[derive(Default)]
pub(super) struct Times(Vec<f64>);

impl Times {
    pub(super) fn since(&mut self, begin: Instant) {
        self.0.push(begin.elapsed().as_secs_f64() * 1000.0);
    }

    /// So many milliseconds.
    pub(super) fn took(&mut self, ms: f64) {
        self.0.push(ms);
    }

    /// Those of another, too.
    pub(super) fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// The milliseconds that this share of them took at most.
    pub(super) fn at(&self, share: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get((sorted.len().saturating_sub(1) as f64 * share) as usize).copied().unwrap_or_default()
    }
}

/// The most memory that a process has had in use.
pub(super) fn resident_mb(pid: u32) -> anyhow::Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib / 1024.0)
}

fn machine() -> String {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let cpus = std::thread::available_parallelism().map_or(0, |it| it.get());
    let model = read("/proc/cpuinfo")
        .lines()
        .find_map(|line| Some(line.strip_prefix("model name")?.split_once(':')?.1.trim().to_owned()))
        .unwrap_or_else(|| "unknown processor".to_owned());
    let memory_kib: u64 = read("/proc/meminfo")
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next()?.parse().ok())
        .unwrap_or(0);
    format!("{cpus} × {model}, {} GiB", memory_kib.div_ceil(1024 * 1024))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_held_to_its_goals() {
        let mut report = Report::new("some", 1);
        report.figure("no_goal", 7.0, "s");
        report.figure_at_most("at_its_goal", 2.0, "ms", 2.0);
        report.figure_at_least("above_its_goal", 3.0, "×", 2.5);
        assert!(report.held_to_goals().is_ok());
        report.figure_at_most("slow", 2.25, "ms", 2.0);
        report.figure_at_least("few", f64::NAN, "×", 0.6);
        let missed = report.held_to_goals().expect_err("two miss their goals").to_string();
        assert_eq!(missed, "some missed: slow is 2.250 (goal ≤ 2), few is NaN (goal ≥ 0.6)");
        assert!(report.verdict().is_ok(), "it is a gate only for whoever asks for one");
    }
}
