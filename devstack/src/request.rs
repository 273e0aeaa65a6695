use std::ffi::OsString;

/// What the command line asks for.
pub(crate) struct Request {
    pub(crate) kafka: bool,
    pub(crate) anvil: bool,
    /// The program and its arguments: never empty.
    pub(crate) command: Vec<OsString>,
}

impl Request {
    /// Nothing where the command line makes no sense.
    pub(crate) fn parse(mut arguments: impl Iterator<Item = OsString>) -> Option<Self> {
        if arguments.next()? != "run" {
            return None;
        }
        let mut request = Self { kafka: false, anvil: false, command: Vec::new() };
        loop {
            match arguments.next()?.to_str()? {
                "--kafka" => request.kafka = true,
                "--anvil" => request.anvil = true,
                "--" => break,
                _ => return None,
            }
        }
        request.command = arguments.collect();
        (!request.command.is_empty()).then_some(request)
    }
}
