//! Copies to a stream, by default standard output.
//!
//! Never writes anything but whole lines: the stream is meant for a log collector.

use std::{fmt, io::Write, sync::Arc, sync::Mutex, sync::PoisonError};

use super::{Sink, SinkFailed};
use crate::store::BoxFuture;

/// Writes each entry as one line to a stream.
pub struct StreamSink {
    name: String,
    stream: Arc<Mutex<Box<dyn Write + Send>>>,
}

impl StreamSink {
    /// Makes a sink that writes to `stream`.
    pub fn new(name: &str, stream: Box<dyn Write + Send>) -> Self {
        Self {
            name: name.to_owned(),
            stream: Arc::new(Mutex::new(stream)),
        }
    }
}

impl fmt::Debug for StreamSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamSink")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Sink for StreamSink {
    fn name(&self) -> &str {
        &self.name
    }

    fn write<'a>(&'a self, lines: &'a [String]) -> BoxFuture<'a, Result<(), SinkFailed>> {
        Box::pin(async move {
            let stream = Arc::clone(&self.stream);
            let text = super::joined(lines);
            super::blocking(&self.name, lines.len(), move || {
                let mut stream = stream.lock().unwrap_or_else(PoisonError::into_inner);
                stream.write_all(text.as_bytes())?;
                stream.flush()
            })
            .await
        })
    }
}
