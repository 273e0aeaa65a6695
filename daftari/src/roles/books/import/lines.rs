//! The lines of an import: read, checked one by one, and put together into requests.

use std::ops::Range;

use ledger::{Command, Day, Item, MemberRef, Points, Request, Screening, Terms};
use proof::{Details, Text};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::config::member_name;
use crate::roles::books::Instant;

/// How many items a request may have, and how many lots an item.
const ITEMS_MAX: usize = 100;
/// The columns that a header may name; the first two it must.
const COLUMNS: [&str; 6] = ["member", "points", "last_day", "earned_day", "effective_at", "reason"];

/// What another system kept.
pub(super) struct Source {
    bytes: Vec<u8>,
    /// The hash of all its bytes: what keys are made of.
    pub(super) digest: String,
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// Comma-separated values with a header.
    Csv,
    /// A JSON object a line.
    JsonLines,
}

/// A line, as it stands there. Where it names no last day, the policy says it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    member: String,
    points: i64,
    #[serde(default)]
    last_day: Option<String>,
    #[serde(default)]
    earned_day: Option<String>,
    #[serde(default)]
    effective_at: Option<String>,
    #[serde(default)]
    reason: Option<String>,
}

/// A line that is understood.
#[derive(Debug)]
struct Line {
    number: u64,
    bytes: Range<usize>,
    member: MemberRef,
    movement: Movement,
    effective_at_us: Option<i64>,
    reason: Option<Text>,
}

#[derive(Debug)]
enum Movement {
    /// Points that came: until which day, and earned on which.
    In(Day, Day, Points),
    /// Points that went.
    Out(i64),
}

/// A line that is not understood, and why.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) line: u64,
    pub(super) problem: String,
}

/// One request: lines of one member that follow one another. They are posted together or not at all.
pub(super) struct Group {
    pub(super) member: MemberRef,
    pub(super) lines: Range<u64>,
    /// Of each item, its first line.
    pub(super) item_lines: Vec<u64>,
    pub(super) bytes: Range<usize>,
    pub(super) request: Request,
}

/// What all requests of an import have in common.
pub(super) struct Common<'a> {
    pub(super) program: i16,
    pub(super) unit: u16,
    pub(super) actor: Text,
    pub(super) approver: Option<String>,
    pub(super) terms: &'a Terms,
    pub(super) dry_run: bool,
}

impl Source {
    pub(super) fn new(bytes: Vec<u8>, format: Format) -> Self {
        let digest = hex::encode(Sha256::digest(&bytes));
        Self { bytes, digest, format }
    }

    /// Whose the requests' keys are.
    pub(super) fn name(&self) -> String {
        format!("import:{}", self.digest)
    }

    /// The bytes of these lines, with the header that goes before them. It is never this file again, also where these are all
    /// lines: it ends with an empty line more, which is no line to whoever reads it.
    pub(super) fn with_header(&self, lines: &[Range<usize>]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let header = (self.format == Format::Csv).then(|| 0..self.csv().1.position().byte() as usize);
        for range in header.iter().chain(lines) {
            bytes.extend(&self.bytes[range.clone()]);
            if bytes.last() != Some(&b'\n') {
                bytes.push(b'\n');
            }
        }
        let wanted = empty_lines_at_the_end(&self.bytes) + 1;
        let more = wanted.saturating_sub(empty_lines_at_the_end(&bytes));
        bytes.resize(bytes.len() + more, b'\n');
        bytes
    }

    /// The requests that the lines come to, in their order; of a line that is not understood, why. It comes to the same
    /// whenever it is read, so the keys are the same too.
    pub(super) fn groups<'a>(
        &'a self,
        common: &'a Common<'a>,
    ) -> impl Iterator<Item = Result<Group, Problem>> + 'a {
        let mut lines = self.lines(common.terms).peekable();
        std::iter::from_fn(move || {
            let mut group = match lines.next()? {
                Ok(line) => GroupBuilder::begin(self, common, line),
                Err(problem) => return Some(Err(problem)),
            };
            while let Some(line) = lines.next_if(|it| it.as_ref().is_ok_and(|it| group.has_room_for(it))) {
                group.add(line.expect("it was looked at"));
            }
            Some(Ok(group.finish()))
        })
    }

    fn lines<'a>(&'a self, terms: &'a Terms) -> Box<dyn Iterator<Item = Result<Line, Problem>> + 'a> {
        let lines: Box<dyn Iterator<Item = _> + 'a> = match self.format {
            Format::Csv => Box::new(self.csv_lines(terms)),
            Format::JsonLines => Box::new(self.json_lines(terms)),
        };
        let mut lines = lines.peekable();
        let nothing = lines.peek().is_none().then(|| {
            let problem =
                format!("there is no line to import: CSV has them below the header {}", wanted_header());
            Err(Problem { line: 1, problem })
        });
        Box::new(lines.chain(nothing))
    }

    fn csv_lines<'a>(&'a self, terms: &'a Terms) -> impl Iterator<Item = Result<Line, Problem>> + 'a {
        let (header, mut reader) = self.csv();
        let header = header.map_err(|error| error.to_string()).and_then(checked_header);
        let mut record = csv::StringRecord::new();
        let mut is_over = false;
        let (mut begin, mut number) = (0, 1);
        std::iter::from_fn(move || {
            let header = match &header {
                Ok(header) => header,
                Err(problem) if !is_over => {
                    is_over = true;
                    return Some(Err(Problem { line: 1, problem: format!("the header: {problem}") }));
                }
                Err(_) => return None,
            };
            // The reader ends a record at the first byte of `\r\n`, and passes empty lines by only with the record after them.
            let end = reader.position().byte() as usize;
            let next = end + self.bytes[end..].iter().take_while(|it| matches!(**it, b'\r' | b'\n')).count();
            number += line_ends(&self.bytes[begin..next]);
            begin = next;
            match reader.read_record(&mut record) {
                Ok(false) => None,
                Ok(true) => {
                    let raw = record.deserialize(Some(header)).map_err(|error| csv_problem(&error));
                    Some(understand(number, begin..reader.position().byte() as usize, raw, terms))
                }
                Err(error) => Some(Err(Problem { line: number, problem: csv_problem(&error) })),
            }
        })
    }

    /// The header, and a reader of what is below it.
    fn csv(&self) -> (csv::Result<csv::StringRecord>, csv::Reader<&[u8]>) {
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(&self.bytes[..]);
        (reader.headers().cloned(), reader)
    }

    fn json_lines<'a>(&'a self, terms: &'a Terms) -> impl Iterator<Item = Result<Line, Problem>> + 'a {
        let mut begin = 0;
        let lines = self.bytes.split_inclusive(|it| *it == b'\n').zip(1..).map(move |(line, number)| {
            let bytes = begin..begin + line.len();
            begin = bytes.end;
            (number, bytes, line.trim_ascii())
        });
        lines.filter(|(_, _, line)| !line.is_empty()).map(|(number, bytes, line)| {
            let raw = serde_json::from_slice(line).map_err(|error| error.to_string());
            understand(number, bytes, raw, terms)
        })
    }
}

/// How many lines end in these bytes: with `\n`, `\r\n` or, as the reader takes it too, `\r`.
fn line_ends(bytes: &[u8]) -> u64 {
    let ends = |(at, it): &(usize, &u8)| match **it {
        b'\n' => true,
        b'\r' => bytes.get(at + 1) != Some(&b'\n'),
        _ => false,
    };
    bytes.iter().enumerate().filter(ends).count() as u64
}

/// How many empty lines there are after the last that is not.
fn empty_lines_at_the_end(bytes: &[u8]) -> usize {
    bytes.rsplit(|it| *it == b'\n').skip(1).take_while(|it| it.trim_ascii().is_empty()).count()
}

fn wanted_header() -> String {
    COLUMNS.join(",")
}

/// The header, if it is one: a file that has none has a line of data there, which would be passed over without a word.
fn checked_header(header: csv::StringRecord) -> Result<csv::StringRecord, String> {
    let missing = COLUMNS.into_iter().take(2).find(|wanted| !header.iter().any(|it| it == *wanted));
    let problem = match (missing, header.iter().find(|it| !COLUMNS.contains(it))) {
        (None, None) => return Ok(header),
        (Some(missing), _) => format!("{missing} is missing"),
        (None, Some(unknown)) => format!("{unknown:?} is no column"),
    };
    Err(format!("{problem}. It is {}, of which all but member and points may be left out", wanted_header()))
}

/// What is wrong with a record, without the place, which is said already.
fn csv_problem(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::Deserialize { err, .. } => err.kind().to_string(),
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("it has {len} fields and the header {expected_len}: quote what holds a comma")
        }
        csv::ErrorKind::Utf8 { .. } => "it is not UTF-8".to_owned(),
        _ => error.to_string(),
    }
}

fn understand(
    number: u64,
    bytes: Range<usize>,
    raw: Result<Raw, String>,
    terms: &Terms,
) -> Result<Line, Problem> {
    let line = raw.and_then(|raw| {
        let effective_at_us = raw.effective_at.as_deref().map(str::parse::<Instant>).transpose()?;
        let effective_at_us = effective_at_us.map(|it| it.0);
        member_name(&raw.member).map_err(|error| format!("member: {error}"))?;
        let reason = raw.reason.clone().map(Text::new).transpose();
        let reason = reason.map_err(|error| format!("reason: {error}"))?;
        let movement = movement(&raw, effective_at_us, terms)?;
        let member = MemberRef::parse(&raw.member);
        Ok(Line { number, bytes, member, movement, effective_at_us, reason })
    });
    line.map_err(|problem| Problem { line: number, problem })
}

fn movement(raw: &Raw, effective_at_us: Option<i64>, terms: &Terms) -> Result<Movement, String> {
    let day = |field: &str, text: &Option<String>| match text {
        None => Ok(None),
        Some(text) => Day::parse(text)
            .map(Some)
            .ok_or_else(|| format!("{field}: {text:?} is not a day since 1970, as in 2026-12-31, or never")),
    };
    let (last_day, earned_day) = (day("last_day", &raw.last_day)?, day("earned_day", &raw.earned_day)?);
    if raw.points < 0 {
        return match (last_day, earned_day) {
            (None, None) => Ok(Movement::Out(raw.points)),
            _ => Err("points that went have no last_day and no earned_day: leave them empty".to_owned()),
        };
    }
    let points = Points::new(raw.points).map_err(|error| format!("points: {error}"))?;
    let earned_day = earned_day.or_else(|| effective_at_us.map(|it| terms.moment(it).day));
    let earned_day = earned_day.filter(|it| *it != Day::NEVER);
    let earned_day =
        earned_day.ok_or("say when the points were earned: earned_day as in 2025-11-02, or effective_at")?;
    let last_day = last_day.unwrap_or_else(|| terms.last_day(earned_day));
    if last_day < earned_day {
        return Err(format!("the points end on {last_day}, before they were earned on {earned_day}"));
    }
    Ok(Movement::In(last_day, earned_day, points))
}

struct GroupBuilder<'a> {
    source: &'a Source,
    common: &'a Common<'a>,
    group: Group,
    last: (Option<i64>, Option<Text>),
}

impl<'a> GroupBuilder<'a> {
    fn begin(source: &'a Source, common: &'a Common<'a>, line: Line) -> Self {
        let request = Request {
            program: common.program,
            unit: common.unit,
            source: source.name(),
            key: line.number.to_string(),
            items: Vec::new(),
            expected_version: None,
            dry_run: common.dry_run,
            hurried: false,
            screening: Screening::Allow,
        };
        let group = Group {
            member: line.member.clone(),
            lines: line.number..line.number,
            item_lines: Vec::new(),
            bytes: line.bytes.clone(),
            request,
        };
        let mut builder = Self { source, common, group, last: (None, None) };
        builder.add(line);
        builder
    }

    fn has_room_for(&self, line: &Line) -> bool {
        line.member == self.group.member && self.group.request.items.len() < ITEMS_MAX
    }

    fn add(&mut self, line: Line) {
        self.group.lines.end = line.number + 1;
        self.group.bytes.end = line.bytes.end;
        let like = (line.effective_at_us, line.reason.clone());
        let member = || line.member.clone();
        match line.movement {
            Movement::In(last_day, earned_day, points) => {
                let lot = (last_day, earned_day, points);
                let last = self.group.request.items.last_mut().map(|it| &mut it.command);
                match last {
                    // What came together is one posting.
                    Some(Command::Import { lots, .. }) if self.last == like && lots.len() < ITEMS_MAX => {
                        lots.push(lot);
                    }
                    _ => {
                        let effective_at_us = line.effective_at_us;
                        let command = Command::Import { member: member(), lots: vec![lot], effective_at_us };
                        self.push(line.number, command, line.reason);
                    }
                }
            }
            Movement::Out(change) => {
                let command = Command::Adjust {
                    member: member(),
                    change,
                    approver: self.common.approver.clone(),
                    effective_at_us: line.effective_at_us,
                };
                let reason = line.reason.or_else(|| Text::new("imported".to_owned()).ok());
                self.push(line.number, command, reason);
            }
        }
        self.last = like;
    }

    fn push(&mut self, line: u64, command: Command, reason: Option<Text>) {
        // It goes into the leaf, so that an auditor with the source can tie the two.
        let origin = format!("line {line} of sha256:{}", self.source.digest);
        let details = Details {
            actor: Some(self.common.actor.clone()),
            reason,
            description: Text::new(origin).ok(),
            ..Details::default()
        };
        self.group.item_lines.push(line);
        self.group.request.items.push(Item { posting_id: Uuid::now_v7(), command, details });
    }

    fn finish(self) -> Group {
        self.group
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, format: Format) -> Vec<Result<(String, Vec<&'static str>), Problem>> {
        let terms =
            Terms::parse(br#"{"expiry":{"after":{"months":12}},"time_zone":"Africa/Nairobi"}"#).unwrap();
        let source = Source::new(text.as_bytes().to_vec(), format);
        let actor = Text::new("amina".to_owned()).unwrap();
        let common = Common { program: 1, unit: 1, actor, approver: None, terms: &terms, dry_run: false };
        let groups: Vec<_> = source
            .groups(&common)
            .map(|it| {
                it.map(|it| (it.request.key, it.request.items.iter().map(|it| it.command.name()).collect()))
            })
            .collect();
        groups
    }

    const CSV: &str = "\
member,points,last_day,earned_day,effective_at,reason
a,100,2026-12-31,2025-01-05,,
a,20,2027-12-31,2026-01-05,,
b,7,never,2024-02-29,,
c,50,,,2026-01-15T22:30:00Z,welcome
c,-20,,,2026-02-01T10:00:00Z,
a,1,2026-12-31,2025-01-05,,
";

    #[test]
    fn lines_of_one_member_in_a_row_are_one_request() {
        let expected = vec![
            Ok(("2".to_owned(), vec!["import"])),
            Ok(("4".to_owned(), vec!["import"])),
            Ok(("5".to_owned(), vec!["import", "adjust"])),
            Ok(("7".to_owned(), vec!["import"])),
        ];
        assert_eq!(read(CSV, Format::Csv), expected);
        let mut json = String::from("\n");
        for line in CSV.lines().skip(1) {
            let fields: Vec<&str> = line.split(',').collect();
            let mut object =
                serde_json::json!({"member": fields[0], "points": fields[1].parse::<i64>().unwrap()});
            for (at, name) in [(2, "last_day"), (3, "earned_day"), (4, "effective_at"), (5, "reason")] {
                if !fields[at].is_empty() {
                    object[name] = fields[at].into();
                }
            }
            json += &format!("{object}\n");
        }
        assert_eq!(read(&json, Format::JsonLines), expected);
    }

    #[test]
    fn what_a_line_leaves_out_the_policy_says() {
        let terms =
            Terms::parse(br#"{"expiry":{"after":{"months":12}},"time_zone":"Africa/Nairobi"}"#).unwrap();
        let source = Source::new(CSV.as_bytes().to_vec(), Format::Csv);
        let lines: Vec<Line> = source.lines(&terms).map(Result::unwrap).collect();
        let Movement::In(last_day, earned_day, _) = lines[3].movement else { panic!("{lines:?}") };
        // Half past ten in the evening is the next day in Nairobi.
        assert_eq!(
            (last_day.to_string(), earned_day.to_string()),
            ("2027-01-16".into(), "2026-01-16".into())
        );
        let kept = source.with_header(&[lines[2].bytes.clone(), lines[4].bytes.clone()]);
        let kept = String::from_utf8(kept).unwrap();
        let expected: Vec<&str> = [0, 3, 5].map(|it| CSV.lines().nth(it).unwrap()).to_vec();
        assert_eq!(kept.trim_end().lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_file_of_refused_lines_is_another_file_also_where_it_has_all_lines() {
        let terms = Terms::parse(b"{}").unwrap();
        let line = r#"{"member":"a","points":7,"last_day":"never","earned_day":"2026-01-05"}"#;
        for (text, format) in [
            (CSV.to_owned(), Format::Csv),
            (CSV.trim_end().to_owned(), Format::Csv),
            (CSV.replace('\n', "\r\n"), Format::Csv),
            (format!("{line}\n{line}\n"), Format::JsonLines),
            (format!("{line}\n{line}"), Format::JsonLines),
        ] {
            let commands = |text: &str| -> Vec<Vec<&'static str>> {
                read(text, format).into_iter().map(|it| it.unwrap().1).collect()
            };
            let mut source = Source::new(text.clone().into_bytes(), format);
            let mut seen = Vec::new();
            // As often as all of them are refused.
            for _ in 0..3 {
                let lines: Vec<_> = source.lines(&terms).map(|it| it.unwrap().bytes).collect();
                let kept = source.with_header(&lines);
                assert_eq!(commands(std::str::from_utf8(&kept).unwrap()), commands(&text));
                seen.push(source.digest);
                source = Source::new(kept, format);
                assert!(!seen.contains(&source.digest), "{text:?}");
            }
        }
    }

    #[test]
    fn a_line_is_numbered_as_it_stands_in_the_file() {
        let terms = Terms::parse(b"{}").unwrap();
        let lines = [
            "",
            "member,points,last_day,earned_day,reason",
            "a,1,never,2026-01-05,",
            "",
            "",
            "b,2,never,2026-01-05,\"said",
            "",
            "twice\"",
            "c,0,never,2026-01-05,",
            "a,4,never,2026-01-05,",
            "",
        ];
        for end in ["\n", "\r\n", "\r"] {
            let source = Source::new(lines.join(end).into_bytes(), Format::Csv);
            let read: Vec<_> = source.lines(&terms).collect();
            let numbers: Vec<u64> =
                read.iter().map(|it| it.as_ref().map_or_else(|it| it.line, |it| it.number)).collect();
            assert_eq!(numbers, [3, 6, 9, 10], "{end:?}");
            let kept: Vec<_> = read.into_iter().filter_map(Result::ok).map(|it| it.bytes).collect();
            let kept = String::from_utf8(source.with_header(&kept)).unwrap();
            let expected = [&lines[..3], &lines[5..8], &lines[9..10]].concat().join(end);
            // A line that stands alone ends with a line feed.
            let kept = kept.replace("\r\n", "\n").replace('\r', "\n");
            assert_eq!(kept.trim_end(), expected.replace("\r\n", "\n").replace('\r', "\n"), "{end:?}");
        }
        let windows = read("member,points,earned_day\r\nvv,10,2025-01-01\r\n", Format::Csv);
        let keys: Vec<String> = windows.into_iter().map(|it| it.unwrap().0).collect();
        assert_eq!(keys, ["2"]);
    }

    #[test]
    fn every_bad_line_is_told_with_what_to_do() {
        let lines = [
            ("a,100,2026-12-31,2025-01-05,,", ""),
            (",100,2026-12-31,2025-01-05,,", "a name has 1 to 200 characters"),
            (" ,100,2026-12-31,2025-01-05,,", "not only blanks"),
            ("a,0,2026-12-31,2025-01-05,,", "an amount of points is from 1 to"),
            ("a,1.5,2026-12-31,2025-01-05,,", "invalid digit"),
            ("a,1,31.12.2026,2025-01-05,,", "as in 2026-12-31, or never"),
            ("a,1,2026-12-31,,,", "say when the points were earned"),
            ("a,1,2026-12-31,never,,", "say when the points were earned"),
            ("a,1,2024-12-31,2025-01-05,,", "before they were earned"),
            ("a,-1,2024-12-31,,,", "leave them empty"),
            ("a,1,2026-12-31,2025-01-05,yesterday,", "an instant with a zone"),
            ("a,1,2026-12-31", "it has 3 fields and the header 6"),
            ("b,1,2026-12-31,2025-01-05,,", ""),
        ];
        let text: String = lines.iter().map(|it| format!("{}\n", it.0)).collect();
        let header = CSV.lines().next().unwrap();
        let read = read(&format!("{header}\n{text}"), Format::Csv);
        assert_eq!(read.len(), lines.len(), "{read:?}");
        for (at, ((_, problem), read)) in lines.into_iter().zip(read).enumerate() {
            match read {
                Ok(_) => assert_eq!(problem, "", "line {}", at + 2),
                Err(it) => {
                    assert_eq!(it.line, at as u64 + 2);
                    assert!(!problem.is_empty() && it.problem.contains(problem), "{it:?}");
                }
            }
        }
    }

    #[test]
    fn a_name_of_blanks_is_none_where_blanks_are_kept() {
        let line = r#"{"member":" \t","points":100,"last_day":"never","earned_day":"2026-01-05"}"#;
        let read = read(line, Format::JsonLines);
        let [Err(told)] = &read[..] else { panic!("{read:?}") };
        assert!(told.problem.contains("not only blanks"), "{told:?}");
    }

    #[test]
    fn what_has_no_header_or_no_line_is_no_import() {
        let header = CSV.lines().next().unwrap();
        for (text, format, problem) in [
            ("", Format::Csv, "the header: member is missing"),
            ("\r\n\r\n", Format::Csv, "the header: member is missing"),
            ("imp5,50", Format::Csv, "the header: member is missing"),
            ("member\na\n", Format::Csv, "the header: points is missing"),
            ("member,points,ends\na,1,2026-12-31\n", Format::Csv, "the header: \"ends\" is no column"),
            (header, Format::Csv, "there is no line to import"),
            ("member,points\n\n", Format::Csv, "there is no line to import"),
            ("", Format::JsonLines, "there is no line to import"),
            ("\n\n", Format::JsonLines, "there is no line to import"),
        ] {
            let read = read(text, format);
            let [Err(told)] = &read[..] else { panic!("{text:?}: {read:?}") };
            assert_eq!(told.line, 1);
            assert!(told.problem.starts_with(problem) && told.problem.contains(header), "{told:?}");
        }
    }

    #[test]
    fn a_request_has_room_for_a_hundred_items() {
        let mut text = format!("{}\n", CSV.lines().next().unwrap());
        for at in 0..250 {
            text += &format!("a,{},,,2026-01-15T22:30:00Z,{at}\n", if at % 2 == 0 { 10 } else { -1 });
        }
        let keys: Vec<(String, usize)> = read(&text, Format::Csv)
            .into_iter()
            .map(|it| it.map(|(key, items)| (key, items.len())).unwrap())
            .collect();
        assert_eq!(keys, [("2".into(), 100), ("102".into(), 100), ("202".into(), 50)]);
    }
}
