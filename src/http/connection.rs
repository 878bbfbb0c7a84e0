//! One connection's patience: a request head must arrive within 5 s, and an idle connection ends after 30 s.
//!
//! Slow clients cost a socket and nothing else; a request in flight is never cut here.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep},
};

/// How long a connection may take.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// From the first byte of a request head to its last.
    pub head: Duration,
    /// Without any request.
    pub idle: Duration,
}

/// LIMITS.md: headers 5 s, idle 30 s (TM-46).
pub const PATIENCE: Patience = Patience {
    head: Duration::from_secs(5),
    idle: Duration::from_secs(30),
};

/// The requests in flight on one connection; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct InFlight(Arc<AtomicUsize>);

impl InFlight {
    /// Counts a request until the guard is dropped.
    pub fn enter(&self) -> impl Drop + Send + use<> {
        self.0.fetch_add(1, Ordering::AcqRel);
        Left(self.clone())
    }

    fn none(&self) -> bool {
        self.0.load(Ordering::Acquire) == 0
    }
}

struct Left(InFlight);

impl Drop for Left {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A stream that ends where its peer is too slow.
#[derive(Debug)]
pub struct Timed<S> {
    stream: S,
    in_flight: InFlight,
    patience: Patience,
    head_started: bool,
    deadline: Pin<Box<Sleep>>,
}

impl<S> Timed<S> {
    /// Watches `stream`; `in_flight` tells when a request has been read whole.
    pub fn new(stream: S, in_flight: InFlight, patience: Patience) -> Self {
        let deadline = Box::pin(tokio::time::sleep(patience.idle));
        Self {
            stream,
            in_flight,
            patience,
            head_started: false,
            deadline,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Timed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(context, buffer);
        if !this.in_flight.none() {
            this.head_started = false;
            this.deadline.as_mut().reset(Instant::now() + this.patience.idle);
            return read;
        }
        if buffer.filled().len() > before && !this.head_started {
            this.head_started = true;
            this.deadline.as_mut().reset(Instant::now() + this.patience.head);
        }
        if this.deadline.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Timed<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let written = Pin::new(&mut this.stream).poll_write(context, bytes);
        match &written {
            Poll::Ready(Ok(count)) if *count > 0 => {
                this.head_started = false;
                this.deadline.as_mut().reset(Instant::now() + this.patience.idle);
            }
            Poll::Ready(_) => {}
            Poll::Pending => {
                if this.deadline.as_mut().poll(context).is_ready() {
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
            }
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_head_that_takes_longer_than_5_s_ends_the_connection() {
        let (mut client, server) = duplex(64);
        let mut server = Timed::new(server, InFlight::default(), PATIENCE);
        client.write_all(b"G").await.unwrap();
        let mut byte = [0; 1];
        server.read_exact(&mut byte).await.unwrap();

        let started = Instant::now();
        let ended = server.read_exact(&mut byte).await;

        assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(started.elapsed().as_secs(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_ends_after_30_s() {
        let (_client, server) = duplex(64);
        let mut server = Timed::new(server, InFlight::default(), PATIENCE);

        let started = Instant::now();
        let ended = server.read_u8().await;

        assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(started.elapsed().as_secs(), 30);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_in_flight_is_not_cut() {
        let (mut client, server) = duplex(64);
        let in_flight = InFlight::default();
        let mut server = Timed::new(server, in_flight.clone(), PATIENCE);
        let guard = in_flight.enter();
        let reading = tokio::spawn(async move { server.read_u8().await });

        tokio::time::sleep(Duration::from_secs(29)).await;
        client.write_all(b"x").await.unwrap();

        assert_eq!(reading.await.unwrap().unwrap(), b'x');
        drop(guard);
    }
}
