//! A traced run: no reply is written before the write-ahead log of its entry was flushed.

use std::{collections::HashMap, path::Path, process::Command};

use crate::{ground::Ground, load::token_request};

/// So many requests, one after another.
const REQUESTS: usize = 20;

/// A request is padded beyond this, so that its reads differ from those of a handshake.
const REQUEST_BYTES: usize = 3_000;

/// Traces a gateway that answers some requests; `None` where this machine does not let us trace.
pub(crate) async fn run(ground: &Ground, binary: &Path) -> Option<Result<usize, String>> {
    let possible = Command::new("strace").args(["-f", "-o", "/dev/null", "true"]).output();
    if !possible.is_ok_and(|output| output.status.success()) {
        return None;
    }
    let path = ground.path("trace");
    let shown = path.display().to_string();
    let calls = "trace=read,readv,recvfrom,recvmsg,write,writev,sendto,sendmsg,fdatasync,fsync";
    let before = ["strace", "-D", "-f", "-yy", "-s", "0", "-e", calls, "-o", &shown];
    let (server, _took) = ground.start_behind(&before, binary, false);
    let mut connection = ground.client().connect().await.expect("a connection");
    // The TLS session tickets go out with the first answer, which rests on no entry.
    let first = connection
        .ask(b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await;
    assert_eq!(first.expect("an answer").status, 200);
    let padding = format!("X-Padding: {}\r\n", "x".repeat(REQUEST_BYTES + 1_000));
    for _ in 0..REQUESTS {
        let answer = connection.ask(&token_request(&ground.token(), "svid", &padding)).await;
        let answer = answer.expect("an answer");
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    }
    drop(connection);
    server.stop();
    let text = std::fs::read_to_string(&path).expect("the trace");
    Some(judge(&text, ground.exchange_port).and_then(|replies| {
        if replies == REQUESTS {
            Ok(replies)
        } else {
            Err(format!(
                "{replies} replies were found in the trace, expected {REQUESTS}"
            ))
        }
    }))
}

/// Returns how many replies were written, each after a flush that followed its request.
pub(crate) fn judge(trace: &str, port: u16) -> Result<usize, String> {
    let socket = format!("<TCP:[127.0.0.1:{port}->");
    let mut unfinished: HashMap<&str, &str> = HashMap::new();
    let (mut waiting, mut flushed, mut replies) = (false, false, 0);
    for line in trace.lines() {
        let Some((thread, rest)) = line.split_once(' ') else {
            continue;
        };
        let rest = rest.trim_start();
        if rest.ends_with("<unfinished ...>") {
            // A write counts from its beginning, a read and a flush only once they are done.
            if is_write(rest) && rest.contains(&socket) && waiting {
                reply(line, &mut waiting, &mut flushed, &mut replies)?;
            }
            unfinished.insert(thread, rest);
            continue;
        }
        let resumed = rest.starts_with("<...");
        let call = if resumed {
            unfinished.remove(thread).unwrap_or(rest)
        } else {
            rest
        };
        let result = rest
            .rsplit_once("= ")
            .and_then(|(_, number)| number.split(' ').next()?.parse::<i64>().ok());
        let done = result.unwrap_or(-1);
        if call.starts_with("fdatasync(") || call.starts_with("fsync(") {
            flushed |= done == 0 && call.contains("cambio.db-wal>");
        } else if call.contains(&socket) && is_write(call) {
            if waiting && !resumed && done > 0 {
                reply(line, &mut waiting, &mut flushed, &mut replies)?;
            }
        } else if call.contains(&socket) && usize::try_from(done).is_ok_and(|bytes| bytes >= REQUEST_BYTES) {
            (waiting, flushed) = (true, false);
        }
    }
    Ok(replies)
}

fn is_write(call: &str) -> bool {
    ["write(", "writev(", "sendto(", "sendmsg("]
        .iter()
        .any(|name| call.starts_with(name))
}

fn reply(line: &str, waiting: &mut bool, flushed: &mut bool, replies: &mut usize) -> Result<(), String> {
    if !*flushed {
        return Err(format!("a reply was written before the log was flushed: {line}"));
    }
    *waiting = false;
    *replies += 1;
    Ok(())
}

/// A judge that finds nothing wrong with a wrong trace proves nothing.
pub(crate) fn judge_the_judge() {
    let read = "7 recvfrom(9<TCP:[127.0.0.1:4711->127.0.0.1:5]>, \"\"..., 4096, 0, NULL, NULL) = 4096\n";
    let begun = "8 fdatasync(5</x/cambio.db-wal> <unfinished ...>\n";
    let ended = "8 <... fdatasync resumed>) = 0\n";
    let other = "8 fdatasync(5</x/audit.jsonl>) = 0\n";
    let write = "7 sendto(9<TCP:[127.0.0.1:4711->127.0.0.1:5]>, \"\"..., 900, MSG_NOSIGNAL, NULL, 0) = 900\n";
    assert_eq!(judge(&[read, begun, ended, write].concat(), 4711), Ok(1));
    assert!(judge(&[read, write, begun, ended].concat(), 4711).is_err());
    assert!(judge(&[read, begun, write, ended].concat(), 4711).is_err());
    assert!(judge(&[read, other, write].concat(), 4711).is_err());
    assert!(judge(&[begun, ended, read, write].concat(), 4711).is_err());
}
