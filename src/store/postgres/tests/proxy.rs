//! A way to the server that breaks when it is told to.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// Forwards connections to a server, until something is to go wrong.
pub(crate) struct Proxy {
    port: u16,
    faults: Arc<Faults>,
}

struct Faults {
    /// The next `COMMIT` reaches the server, its answer does not come back.
    cut_after_commit: AtomicBool,
    /// Nothing passes while this is set; what came meanwhile passes afterwards.
    stalled: watch::Sender<bool>,
}

impl Proxy {
    pub(crate) async fn start(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let faults = Arc::new(Faults {
            cut_after_commit: AtomicBool::new(false),
            stalled: watch::Sender::new(false),
        });
        let shared = Arc::clone(&faults);
        tokio::spawn(async move {
            while let Ok((client, _from)) = listener.accept().await {
                tokio::spawn(forward(client, server, Arc::clone(&shared)));
            }
        });
        Self { port, faults }
    }

    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://cambio@127.0.0.1:{}/{database}", self.port)
    }

    /// Lets the answer to the next commit get lost, with its connection.
    pub(crate) fn lose_the_next_answer(&self) {
        self.faults.cut_after_commit.store(true, Ordering::SeqCst);
    }

    /// Holds everything up, or lets it pass again.
    pub(crate) fn stall(&self, stalled: bool) {
        self.faults.stalled.send_replace(stalled);
    }
}

async fn forward(client: TcpStream, server: u16, faults: Arc<Faults>) {
    let server = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let (cut, mut is_cut) = watch::channel(false);
    let mut passing = faults.stalled.subscribe();
    let answers = tokio::spawn(async move {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let read = tokio::select! {
                read = from_server.read(&mut buffer) => read.unwrap_or(0),
                _cut = async { is_cut.wait_for(|cut| *cut).await.is_ok() } => {
                    // The server is heard to its end: what it was told, it does.
                    let _answer = from_server.read(&mut buffer).await;
                    return;
                }
            };
            if passing.wait_for(|stalled| !*stalled).await.is_err() || read == 0 {
                return;
            }
            if to_client.write_all(&buffer[..read]).await.is_err() {
                return;
            }
        }
    });
    let mut passing = faults.stalled.subscribe();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = from_client.read(&mut buffer).await.unwrap_or(0);
        if passing.wait_for(|stalled| !*stalled).await.is_err() || read == 0 {
            break;
        }
        // A statement by itself ends with a zero; the name of an isolation level does not.
        let commits = buffer[..read].windows(7).any(|bytes| bytes == b"COMMIT\0");
        let ends = commits && faults.cut_after_commit.swap(false, Ordering::SeqCst);
        if ends {
            cut.send_replace(true);
        }
        if to_server.write_all(&buffer[..read]).await.is_err() || ends {
            break;
        }
    }
    let _answers = answers.await;
}
