use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};

use crate::Error;

/// One JSON-RPC call to this machine, on a connection of its own.
pub(super) fn call(port: u16, method: &str, params: &Value) -> Result<Value, Error> {
    let refused = |message: String| Error::Rpc { method: method.into(), message };
    let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let body = post(port, &request.to_string()).map_err(|it| refused(it.to_string()))?;
    let mut answer: Value = serde_json::from_slice(&body).map_err(|it| refused(it.to_string()))?;
    match answer.get("error") {
        Some(error) => Err(refused(error["message"].as_str().unwrap_or("no reason given").into())),
        None => Ok(answer["result"].take()),
    }
}

pub(crate) fn post(port: u16, body: &str) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    // A thousand blocks on a machine that does much else take their time.
    stream.set_read_timeout(Some(Duration::from_secs(120)))?;
    // HTTP/1.0: the answer comes in one piece and ends with the connection.
    write!(
        stream,
        "POST / HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let end_of_head = answer.windows(4).position(|it| it == b"\r\n\r\n");
    let start = end_of_head.ok_or(io::ErrorKind::UnexpectedEof)? + 4;
    Ok(answer.split_off(start))
}
